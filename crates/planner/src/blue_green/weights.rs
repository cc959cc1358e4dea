//! Shares of traffic as weights of a listener rule.

/// Shares in percent that are closer than this are equal: rules hold tenths of a percent.
pub const SHARE_TOLERANCE: f64 = 0.05;

/// Whole numbers from 0 to 999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    pub blue: u32,
    pub green: u32,
}

/// The weights that give green this share, exact to a tenth of a percent.
///
/// Of 100 where that says it exactly, as AWS's rules show it, else of 1000: no weight of a divided thousand exceeds 999.
pub fn weights(green_percent: f64) -> Weights {
    let tenths = (green_percent.clamp(0.0, 100.0) * 10.0).round();
    // A clamped, rounded number fits.
    let tenths = tenths as u32;
    let (whole, green) = match tenths % 10 {
        0 => (100, tenths / 10),
        _ => (1000, tenths),
    };
    Weights {
        blue: whole - green,
        green,
    }
}

/// Green's share, of weights that need not have been ours.
pub fn green_percent(weights: Weights) -> Option<f64> {
    let whole = weights.blue + weights.green;
    (whole > 0).then(|| f64::from(weights.green) * 100.0 / f64::from(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tenth_of_a_percent_is_exact() {
        for tenths in 0..=1000 {
            let percent = f64::from(tenths) / 10.0;
            let weights = weights(percent);
            assert!(weights.blue <= 999 && weights.green <= 999, "{percent}");
            let back = green_percent(weights).expect("there is some weight");
            assert!((back - percent).abs() < 1e-9, "{percent} {back}");
        }
    }

    #[test]
    fn whole_percents_are_of_a_hundred() {
        for (percent, blue, green) in [
            (0.0, 100, 0),
            (100.0, 0, 100),
            (10.0, 90, 10),
            (3.3, 967, 33),
            (0.1, 999, 1),
            // Tenths that were added up.
            (0.1 + 0.2, 997, 3),
        ] {
            assert_eq!(weights(percent), Weights { blue, green }, "{percent}");
        }
        assert_eq!(green_percent(Weights { blue: 0, green: 0 }), None);
    }
}
