//! firewalld: our device in a zone that lets pass what is forwarded, as long as firewalld runs. A zone of our own would
//! need a reload, by which the user's own runtime changes are lost.
//!
//! That zone lets everything into the machine too, so our own table closes the machine to what tasks begin.

use super::{Names, Step, Wants};
use crate::network::machine::listing::Listing;

pub const TABLE: &str = "firewalld";
pub const ZONE: &str = "trusted";

pub fn is_active(listing: &Listing) -> bool {
    listing.chains.iter().any(|chain| chain.table == TABLE)
}

pub fn plan(listing: &Listing, names: &Names, wants: Wants) -> Option<Step> {
    let device = format!("\"{}\"", names.device);
    let bound = listing
        .rules
        .iter()
        .any(|rule| rule.table == TABLE && rule.expr.to_string().contains(&device));
    let verb = match (wants.world && is_active(listing), bound) {
        (true, false) => "--add-interface",
        (false, true) => "--remove-interface",
        _ => return None,
    };
    let args = [format!("--zone={ZONE}"), format!("{verb}={}", names.device)];
    Some(Step::run(
        "firewall-cmd",
        &args.each_ref().map(String::as_str),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_in_the_zone_while_it_needs_to_be() {
        let names = Names {
            device: "ngn1".into(),
            comment: "neargate-1".into(),
        };
        let chain = r#"{"chain":{"family":"inet","table":"firewalld","name":"c","handle":1}}"#;
        let bound = r#"{"rule":{"family":"inet","table":"firewalld","chain":"c","handle":2,"expr":[{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"ngn1"}},{"goto":{"target":"filter_FWD_trusted"}}]}}"#;
        for (name, objects, world, want) in [
            ("not running", vec![], true, None),
            ("running", vec![chain], true, Some("--add-interface=ngn1")),
            ("done", vec![chain, bound], true, None),
            ("not wanted", vec![chain], false, None),
            (
                "no longer wanted",
                vec![chain, bound],
                false,
                Some("--remove-interface=ngn1"),
            ),
        ] {
            let text = format!(r#"{{"nftables":[{}]}}"#, objects.join(","));
            let listing = Listing::parse(text.as_bytes()).expect(name);
            let wants = Wants {
                answers: true,
                world,
            };
            let want = want.map(|arg| Step::run("firewall-cmd", &["--zone=trusted", arg]));
            assert_eq!(plan(&listing, &names, wants), want, "{name}");
        }
    }
}
