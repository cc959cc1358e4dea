//! What callers read of failures names nothing of the machine: the reasons of tasks and containers come from the kernel,
//! from OCI runtimes and from modules that say in their errors, and so in the log, which file it was.

use std::path::{Path, PathBuf};

use neargate_node_api::TaskObserved;

use super::config::AgentConfig;

/// The directories of the machine whose paths are hidden.
pub struct HostPaths(Vec<String>);

impl HostPaths {
    pub fn new(config: &AgentConfig) -> Self {
        let mut roots: Vec<PathBuf> = vec![
            config.data_dir.clone(),
            config.program.clone(),
            "/run/neargate".into(),
            "/sys/fs/cgroup".into(),
            "/proc".into(),
        ];
        // As the kernel and other programs say it.
        roots.extend(config.data_dir.canonicalize());
        roots.extend(config.oci_runtime.clone());
        let text = |root: &PathBuf| {
            root.to_str()
                .filter(|text| text.len() > 1)
                .map(str::to_owned)
        };
        Self(roots.iter().filter_map(text).collect())
    }

    pub fn hide_in(&self, report: &mut TaskObserved) {
        let containers = report
            .containers
            .iter_mut()
            .map(|container| &mut container.reason);
        for reason in containers.chain([&mut report.stopped_reason]) {
            if let Some(hidden) = self.hide(reason) {
                *reason = hidden;
            }
        }
    }

    /// The text with the last name of each path in place of the path; of one in a container's root what the container
    /// calls it. `None`: it has no path of the machine.
    fn hide(&self, text: &str) -> Option<String> {
        let mut hidden = String::new();
        let mut rest = text;
        while let Some((start, root)) = self.first(rest) {
            let after = &rest[start + root..];
            let end = after.find(ends_path).unwrap_or(after.len());
            hidden.push_str(&rest[..start]);
            let path = &rest[start..start + root + end];
            match path.split_once("/rootfs/") {
                Some((_, inside)) => {
                    hidden.push('/');
                    hidden.push_str(inside);
                }
                None => hidden.push_str(last_name(path)),
            }
            rest = &after[end..];
        }
        (rest.len() < text.len()).then(|| hidden + rest)
    }

    /// Where the first path begins, and how long its root is.
    fn first(&self, text: &str) -> Option<(usize, usize)> {
        let found = self.0.iter().filter_map(|root| {
            let mut starts = text.match_indices(root.as_str());
            let (start, _) = starts.find(|(start, _)| {
                let before = text[..*start].chars().next_back();
                let after = text[start + root.len()..].chars().next();
                before.is_none_or(ends_path) && after.is_none_or(|c| c == '/' || ends_path(c))
            })?;
            Some((start, root.len()))
        });
        found.min_by_key(|(start, length)| (*start, usize::MAX - length))
    }
}

/// Names of ours have none of these.
fn ends_path(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ':' | ',' | ';' | '(' | ')' | '=')
}

fn last_name(path: &str) -> &str {
    Path::new(path)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("a file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_name_no_path_of_the_machine() {
        let paths = HostPaths::new(&AgentConfig {
            data_dir: "/var/lib/neargate/node".into(),
            server_socket: PathBuf::new(),
            program: "/opt/neargate".into(),
            oci_runtime: Some("/usr/bin/runc".into()),
            clean_on_exit: false,
        });
        for (text, want) in [
            (
                "exec /app/start: no such file or directory",
                "exec /app/start: no such file or directory",
            ),
            (
                "cannot make /var/lib/neargate/node/tasks/1f/containers/a/upper: full",
                "cannot make upper: full",
            ),
            (
                "open /var/lib/neargate/node/tasks/1f/containers/a/rootfs/etc/passwd: bad",
                "open /etc/passwd: bad",
            ),
            (
                "\"/var/lib/neargate/node/tasks\", /run/neargate/0a/netns/1f",
                "\"tasks\", 1f",
            ),
            ("/opt/neargate: gone", "neargate: gone"),
            ("starting /usr/bin/runc: gone", "starting runc: gone"),
            (
                "mount /proc/self/fd/3 and /sys/fs/cgroup/pids/x",
                "mount 3 and x",
            ),
            (
                "/usr/bin/runcible and /app/proc/x",
                "/usr/bin/runcible and /app/proc/x",
            ),
            ("", ""),
        ] {
            let hidden = paths.hide(text);
            assert_eq!(hidden.as_deref().unwrap_or(text), want);
            assert_eq!(hidden.is_some(), text != want, "{text}");
        }
    }
}
