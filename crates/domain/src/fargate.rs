//! Fargate's task sizes.
//!
//! Source: developer guide, "Task definition parameters for Fargate", task CPU and memory.

/// A task's size. CPU in units (1024 = one vCPU), memory in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskSize {
    pub cpu_units: u32,
    pub memory_mib: u32,
}

impl TaskSize {
    /// Whether Fargate offers this pair to Linux tasks.
    pub fn is_offered(self) -> bool {
        let stepped = |from: u32, to: u32, step: u32| {
            (from..=to).contains(&self.memory_mib) && self.memory_mib.is_multiple_of(step)
        };
        match self.cpu_units {
            256 => [512, 1024, 2048].contains(&self.memory_mib),
            512 => stepped(1024, 4096, 1024),
            1024 => stepped(2048, 8192, 1024),
            2048 => stepped(4096, 16384, 1024),
            4096 => stepped(8192, 30720, 1024),
            8192 => stepped(16384, 61440, 4096),
            16384 => stepped(32768, 122_880, 8192),
            32768 => [61440, 122_880, 249_856].contains(&self.memory_mib),
            _ => false,
        }
    }
}

/// Reads a task-level `cpu`: `256`, `.25 vCPU`, `1 vcpu`, in CPU units.
pub fn parse_cpu(text: &str) -> Option<u32> {
    parse_amount(text, "vcpu", 1024.0)
}

/// Reads a task-level `memory`: `512`, `1GB`, `.5 gb`, in MiB.
pub fn parse_memory(text: &str) -> Option<u32> {
    parse_amount(text, "gb", 1024.0)
}

fn parse_amount(text: &str, unit: &str, per_unit: f64) -> Option<u32> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(number) = text.strip_suffix(unit) {
        let amount = number.trim().parse::<f64>().ok()? * per_unit;
        let whole = (amount.fract() == 0.0 && amount > 0.0 && amount <= f64::from(u32::MAX))
            .then_some(amount)?;
        // Checked above: whole, positive and within u32.
        return Some(whole as u32);
    }
    text.parse().ok().filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_guide() {
        for (cpu_units, memory_mib, want) in [
            (256, 512, true),
            (256, 1024, true),
            (256, 2048, true),
            (256, 1536, false),
            (256, 3072, false),
            (512, 512, false),
            (512, 4096, true),
            (1024, 1024, false),
            (1024, 8192, true),
            (2048, 3072, false),
            (2048, 16384, true),
            (4096, 30720, true),
            (4096, 31744, false),
            (8192, 16384, true),
            (8192, 17408, false),
            (8192, 61440, true),
            (16384, 32768, true),
            (16384, 122_880, true),
            (16384, 36864, false),
            (32768, 249_856, true),
            (128, 512, false),
        ] {
            let size = TaskSize {
                cpu_units,
                memory_mib,
            };
            assert_eq!(size.is_offered(), want, "{size:?}");
        }
    }

    #[test]
    fn amounts_are_read_as_the_guide_writes_them() {
        for (text, want) in [
            ("256", Some(256)),
            ("1 vCPU", Some(1024)),
            (".25 vcpu", Some(256)),
            ("0.5vCPU", Some(512)),
            ("vCPU", None),
            ("-1", None),
            ("0", None),
            ("1e99 vcpu", None),
            ("nan vcpu", None),
            ("256.5", None),
        ] {
            assert_eq!(parse_cpu(text), want, "{text}");
        }
        for (text, want) in [
            ("512", Some(512)),
            ("1GB", Some(1024)),
            (".5 gb", Some(512)),
            ("3 GB", Some(3072)),
            ("1 MB", None),
        ] {
            assert_eq!(parse_memory(text), want, "{text}");
        }
    }
}
