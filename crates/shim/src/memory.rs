//! Keeping the shim small: there is one per task, and most of its life it waits.
//!
//! Starting up touches megabytes of the one binary (relocations, the parser of the spec, the code that spawns) that
//! waiting does not need. All of that is in the page cache anyway; here the shim lets go of its own view of it.

use std::fs;

/// Gives back what is only there because the start needed it. What is needed again comes back by itself.
pub(crate) fn release_startup() {
    trim_heap();
    let Ok(map) = fs::read_to_string("/proc/self/smaps") else {
        return;
    };
    for (start, end) in unmodified_file_mappings(&map) {
        // SAFETY: the pages are file contents that nobody can have changed (not writable, none of them private to
        // this process), so dropping them means that the next access reads the same from the page cache.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

/// Address ranges of code and constants. Relocated constants are read-only too, but private: they must stay.
fn unmodified_file_mappings(smaps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(range) = parse_header(line) {
            candidate = range;
        } else if line.starts_with("Anonymous:") {
            let untouched = line.split_whitespace().nth(1) == Some("0");
            found.extend(candidate.take().filter(|_| untouched));
        }
    }
    found
}

/// `Some(None)`: the header of a mapping that is of no interest. `None`: no header.
fn parse_header(line: &str) -> Option<Option<(usize, usize)>> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let constant = matches!(fields.next()?, "r-xp" | "r--p");
    let is_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    Some((constant && is_file).then_some((start, end)))
}

fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim only returns free memory to the kernel.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_can_have_changed_is_released() {
        let smaps = "\
1000-2000 r-xp 00001000 fe:00 99 /bin/x\nRss: 4 kB\nAnonymous: 0 kB\n\
2000-3000 r--p 00002000 fe:00 99 /bin/x\nRss: 4 kB\nAnonymous: 4 kB\n\
3000-4000 rw-p 00003000 fe:00 99 /bin/x\nRss: 4 kB\nAnonymous: 0 kB\n\
4000-5000 r--p 00000000 fe:00 98 /lib/y z\nRss: 0 kB\nAnonymous: 0 kB\n\
5000-6000 rw-p 00000000 00:00 0\nRss: 4 kB\nAnonymous: 0 kB\n\
6000-7000 r-xp 00000000 00:00 0 [vdso]\nRss: 4 kB\nAnonymous: 0 kB\n\
7000-8000 r--s 00000000 fe:00 97 /shared\nRss: 4 kB\nAnonymous: 0 kB\n";
        let want = [(0x1000, 0x2000), (0x4000, 0x5000)];
        assert_eq!(unmodified_file_mappings(smaps), want);
        assert_eq!(unmodified_file_mappings("nonsense\n-\n"), []);
    }

    #[test]
    fn the_process_goes_on_after_it() {
        release_startup();
        let own = fs::read_to_string("/proc/self/smaps").expect("procfs");
        assert!(!unmodified_file_mappings(&own).is_empty());
    }
}
