//! `user` of a container: names and numbers, looked up in the image's /etc/passwd and /etc/group.
//!
//! Both files come from an image and may be anything: a device, a link to the host's own, a gigabyte of one line.
//! They are opened without leaving the rootfs, must be regular files, and are read up to a limit.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

/// A passwd file of ten thousand users is under a megabyte.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// The kernel's NGROUPS_MAX.
const MAX_GROUPS: usize = 65_536;
/// Docker's range: uid_t without the values that mean "none".
const MAX_ID: u32 = i32::MAX as u32;

/// Who a container's process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedUser {
    pub uid: u32,
    pub gid: u32,
    /// The primary group first, as Docker since 20.10.18 (CVE-2022-36109), then those that list the user.
    pub additional_gids: Vec<u32>,
    pub home: String,
}

/// The texts are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    #[error("uids and gids must be in range 0-{MAX_ID}")]
    OutOfRange,
    #[error("cannot read {0} of the image: {1}")]
    Unreadable(&'static str, String),
}

/// Resolves `user` (`name`, `uid`, `name:group`, `uid:gid` and mixtures; empty for root) in a rootfs.
pub fn resolve(rootfs: &Path, user: &str) -> Result<ResolvedUser, UserError> {
    let passwd = read_in_root(rootfs, "etc/passwd")?;
    let group = read_in_root(rootfs, "etc/group")?;
    resolve_in(&passwd, &group, user)
}

/// The same on texts: Docker's rules (moby/sys user, GetExecUser).
fn resolve_in(passwd: &str, group: &str, user: &str) -> Result<ResolvedUser, UserError> {
    let (name, group_name) = user.split_once(':').unwrap_or((user, ""));
    let uid: Option<u64> = name.parse().ok();
    let entry = passwd
        .lines()
        .filter_map(PasswdEntry::parse)
        .find(|entry| match (name, uid) {
            ("", _) => entry.uid == 0,
            (_, Some(uid)) => u64::from(entry.uid) == uid,
            (name, None) => entry.name == name,
        });
    let mut resolved = match (&entry, uid) {
        (Some(entry), _) => ResolvedUser {
            uid: entry.uid,
            gid: entry.gid,
            additional_gids: Vec::new(),
            home: entry.home.to_owned(),
        },
        (None, None) if !name.is_empty() => return Err(UserError::NoUser(name.to_owned())),
        (None, uid) => ResolvedUser {
            uid: in_range(uid.unwrap_or(0))?,
            gid: 0,
            additional_gids: Vec::new(),
            home: "/".to_owned(),
        },
    };
    let mut further = Vec::new();
    if group_name.is_empty() {
        // Only the implicit form gives the groups that list the user.
        if let Some(entry) = &entry {
            let member_of = group
                .lines()
                .filter_map(GroupEntry::parse)
                .filter(|group| group.has(entry.name));
            further.extend(member_of.map(|group| group.gid).take(MAX_GROUPS - 1));
        }
    } else {
        let gid: Option<u64> = group_name.parse().ok();
        let found = group
            .lines()
            .filter_map(GroupEntry::parse)
            .find(|entry| match gid {
                Some(gid) => u64::from(entry.gid) == gid,
                None => entry.name == group_name,
            });
        resolved.gid = match (found, gid) {
            (Some(found), _) => found.gid,
            (None, Some(gid)) => in_range(gid)?,
            (None, None) => return Err(UserError::NoGroup(group_name.to_owned())),
        };
    }
    resolved.additional_gids.push(resolved.gid);
    for gid in further {
        if !resolved.additional_gids.contains(&gid) {
            resolved.additional_gids.push(gid);
        }
    }
    if !resolved.home.starts_with('/') || resolved.home.contains('\0') {
        resolved.home = "/".to_owned();
    }
    Ok(resolved)
}

fn in_range(id: u64) -> Result<u32, UserError> {
    u32::try_from(id)
        .ok()
        .filter(|id| *id <= MAX_ID)
        .ok_or(UserError::OutOfRange)
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> PasswdEntry<'a> {
    /// `name:password:uid:gid:comment:home:shell`; a line that is not one is skipped.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.trim().split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        let uid = in_range(fields.next()?.parse().ok()?).ok()?;
        let gid = in_range(fields.next()?.parse().ok()?).ok()?;
        let _comment = fields.next();
        let home = fields.next().unwrap_or_default();
        (!name.is_empty() && !name.starts_with('#')).then_some(PasswdEntry {
            name,
            uid,
            gid,
            home,
        })
    }
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> GroupEntry<'a> {
    /// `name:password:gid:member,member`.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.trim().split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        let gid = in_range(fields.next()?.parse().ok()?).ok()?;
        let members = fields.next().unwrap_or_default();
        (!name.is_empty() && !name.starts_with('#')).then_some(GroupEntry { name, gid, members })
    }

    fn has(&self, user: &str) -> bool {
        self.members.split(',').any(|member| member == user)
    }
}

/// The text of a file of the image; empty if there is none. Bytes that are no text cannot match a name we look for.
fn read_in_root(rootfs: &Path, path: &'static str) -> Result<String, UserError> {
    let unreadable = |why: String| UserError::Unreadable(path, why);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open(rootfs, flags, Mode::empty()).map_err(|errno| unreadable(errno.to_string()))?;
    // O_NONBLOCK: a FIFO in the place of the file must not hang us.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = match openat2(&root, path, how) {
        Ok(fd) => File::from(fd),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO) => {
            return Ok(String::new());
        }
        Err(errno) => return Err(unreadable(errno.to_string())),
    };
    if !file
        .metadata()
        .map_err(|error| unreadable(error.to_string()))?
        .is_file()
    {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh
# comment:x:7:7::/:
broken line
daemon:x:one:1::/:
www:x:33:33:www:/var/www:/usr/sbin/nologin
app:x:1000:1000::/home/app:/bin/sh
nohome:x:1001:100
relative:x:1002:1002::home:/bin/sh
huge:x:4294967295:1::/:
";
    const GROUP: &str = "root:x:0:
www:x:33:
staff:x:50:app,www
docker:x:999:app
primary:x:1000:app
";

    fn user(
        uid: u32,
        gid: u32,
        additional_gids: &[u32],
        home: &str,
    ) -> Result<ResolvedUser, UserError> {
        Ok(ResolvedUser {
            uid,
            gid,
            additional_gids: additional_gids.to_vec(),
            home: home.to_owned(),
        })
    }

    #[test]
    fn users_are_found_as_docker_finds_them() {
        for (text, want) in [
            ("", user(0, 0, &[0], "/root")),
            ("root", user(0, 0, &[0], "/root")),
            ("app", user(1000, 1000, &[1000, 50, 999], "/home/app")),
            ("1000", user(1000, 1000, &[1000, 50, 999], "/home/app")),
            ("app:staff", user(1000, 50, &[50], "/home/app")),
            ("app:50", user(1000, 50, &[50], "/home/app")),
            ("app:4321", user(1000, 4321, &[4321], "/home/app")),
            ("4242", user(4242, 0, &[0], "/")),
            ("4242:33", user(4242, 33, &[33], "/")),
            (":staff", user(0, 50, &[50], "/root")),
            ("nohome", user(1001, 100, &[100], "/")),
            ("relative", user(1002, 1002, &[1002], "/")),
            ("nobody", Err(UserError::NoUser("nobody".to_owned()))),
            ("daemon", Err(UserError::NoUser("daemon".to_owned()))),
            ("huge", Err(UserError::NoUser("huge".to_owned()))),
            ("app:nogroup", Err(UserError::NoGroup("nogroup".to_owned()))),
            ("4294967295", Err(UserError::OutOfRange)),
            ("99999999999999", Err(UserError::OutOfRange)),
            ("0:4294967295", Err(UserError::OutOfRange)),
            ("-1", Err(UserError::NoUser("-1".to_owned()))),
        ] {
            assert_eq!(resolve_in(PASSWD, GROUP, text), want, "{text:?}");
        }
    }

    #[test]
    fn an_image_without_files_has_numbers_only() {
        assert_eq!(resolve_in("", "", ""), user(0, 0, &[0], "/"));
        assert_eq!(resolve_in("", "", "12:34"), user(12, 34, &[34], "/"));
        assert_eq!(
            resolve_in("", "", "app"),
            Err(UserError::NoUser("app".to_owned()))
        );
    }

    #[test]
    fn a_hostile_image_shows_nothing_of_the_host() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let etc = root.path().join("etc");
        let outside = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(outside.path().join("passwd"), "spy:x:77:77::/:\n").expect("written");
        let target = outside.path().join("passwd");
        std::fs::create_dir(&etc).expect("made");
        let put = |what: &dyn Fn(&Path)| {
            let _ = std::fs::remove_file(etc.join("passwd"));
            what(&etc.join("passwd"));
            resolve(root.path(), "spy")
        };
        let none = Err(UserError::NoUser("spy".to_owned()));
        let link = |to: &Path, at: &Path| std::os::unix::fs::symlink(to, at).expect("linked");
        assert_eq!(put(&|at| link(&target, at)), none, "absolute link");
        assert_eq!(
            put(&|at| link(&Path::new("../../../../../..").join(&target), at)),
            none,
            "climbing link"
        );
        assert_eq!(put(&|at| link(Path::new("passwd"), at)), none, "loop");
        assert_eq!(
            put(&|at| nix::unistd::mkfifo(at, Mode::S_IRUSR).expect("made")),
            none,
            "fifo"
        );
        assert_eq!(put(&|_| ()), none, "nothing");
        assert_eq!(
            put(&|at| std::fs::write(at, b"\xff\xfe\0\nspy:x:5:6::/s:\n").expect("written")),
            user(5, 6, &[6], "/s")
        );
        // A link that stays inside is fine, as in images that keep /etc elsewhere.
        std::fs::create_dir(root.path().join("usr")).expect("made");
        std::fs::write(root.path().join("usr/passwd"), "spy:x:8:9::/:\n").expect("written");
        assert_eq!(
            put(&|at| link(Path::new("/usr/passwd"), at)),
            user(8, 9, &[9], "/"),
            "inside"
        );
    }
}
