//! Alone in its process, because it looks at all of its children: a failed start leaves none to the caller.

mod host;

use host::Host;
use neargate_runtime::spec::ContainerSettings;
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};

#[test]
fn a_failed_start_leaves_nobody_to_reap() {
    let Some(host) = Host::new() else { return };
    let nobody = || waitpid(None, Some(WaitPidFlag::WNOHANG));
    let rows = [
        ("missing", "nope", host.placement("missing")),
        (
            "netns",
            "true",
            neargate_runtime::spec::Placement {
                network_namespace: "/run/netns/none-of-that-name".into(),
                ..host.placement("netns")
            },
        ),
    ];
    for (id, command, placement) in rows {
        let settings = ContainerSettings {
            entry_point: Some(vec![command.to_owned()]),
            ..Default::default()
        };
        let bundle = host.bundle_at(id, "", &settings, &placement);
        host.start(id, &bundle).expect_err(id);
        assert_eq!(nobody(), Err(Errno::ECHILD), "{id}");
    }
    // The other way of use: the container ends, we are told, nobody is left.
    let ended = host.run("fine", "exit 1", "", &ContainerSettings::default());
    assert_eq!(
        (ended.code, ended.output.as_str(), nobody()),
        (1, "", Err(Errno::ECHILD))
    );
}
