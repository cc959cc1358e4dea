//! What is done to a bundle's spec before libcontainer sees it.
//!
//! libcontainer reads `config.json` from a directory. It gets a copy without what our executor does itself (seccomp
//! and capabilities, see [`crate::filter`]) and with the paths made absolute, in a directory beside the state.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};

use crate::error::{ErrorKind, RuntimeError};
use crate::executor::Confinement;
use crate::{filter, rlimits};

/// Mode of a working directory that the image does not have.
const MADE_DIRECTORY_MODE: u32 = 0o755;

/// The copy; removed when dropped.
pub(crate) struct StagedBundle {
    pub dir: PathBuf,
    pub confinement: Confinement,
    /// `linux.cgroupsPath` of a spec that asks for no device but those that every container has.
    pub without_own_devices: Option<String>,
}

impl StagedBundle {
    pub(crate) fn new(root: &Path, bundle: &Path, id: &str) -> Result<Self, RuntimeError> {
        let mut spec: Spec = read_json(&bundle.join("config.json"))?;
        let confinement = take_confinement(root, &mut spec)?;
        make_absolute(&mut spec, bundle);
        make_working_directory(&spec)?;
        // No id holds an `@`, so no container's state is ever here.
        let dir = root.join(format!("@staged-{id}-{}", std::process::id()));
        let text = serde_json::to_vec(&spec)
            .map_err(|e| RuntimeError::internal("cannot write the spec", e))?;
        // Private: the environment of a container holds its secrets.
        std::fs::create_dir_all(root)
            .and_then(|()| std::fs::DirBuilder::new().mode(0o700).create(&dir))
            .and_then(|()| std::fs::write(dir.join("config.json"), text))
            .map_err(|e| RuntimeError::internal("cannot write the spec", e))?;
        Ok(StagedBundle {
            dir,
            confinement,
            without_own_devices: without_own_devices(&spec),
        })
    }
}

impl Drop for StagedBundle {
    fn drop(&mut self) {
        let _ = neargate_files::tree::remove_tree(&self.dir);
    }
}

fn without_own_devices(spec: &Spec) -> Option<String> {
    let linux = spec.linux().as_ref()?;
    let rules = linux.resources().as_ref()?.devices().as_ref()?;
    let path = linux.cgroups_path().as_ref()?;
    let nothing = !rules.is_empty() && rules.iter().all(|rule| !rule.allow());
    nothing.then(|| path.display().to_string())
}

/// Takes out of the spec what the executor applies, and fits the process to what this host can do.
pub(crate) fn take_confinement(root: &Path, spec: &mut Spec) -> Result<Confinement, RuntimeError> {
    let seccomp = spec
        .linux_mut()
        .as_mut()
        .and_then(|linux| linux.seccomp_mut().take());
    let filter = match seccomp {
        Some(profile) => Some(filter::of_profile(root, &profile).map_err(|why| {
            RuntimeError::new(
                ErrorKind::InvalidSpec,
                format!("cannot make the seccomp filter: {why}"),
            )
        })?),
        None => None,
    };
    let capabilities = spec.process_mut().as_mut().and_then(|process| {
        rlimits::fit_to_host(process);
        let capabilities = process.capabilities().clone();
        process.set_capabilities(None);
        capabilities
    });
    Ok(Confinement {
        filter,
        capabilities,
    })
}

/// The specification has paths relative to the bundle, which the copy is not in.
fn make_absolute(spec: &mut Spec, bundle: &Path) {
    if let Some(root) = spec.root_mut() {
        root.set_path(bundle.join(root.path()));
    }
    for mount in spec
        .mounts_mut()
        .iter_mut()
        .flatten()
        .filter(|mount| is_bind(mount))
    {
        let source = mount.source().as_ref().map(|source| bundle.join(source));
        mount.set_source(source);
    }
}

fn is_bind(mount: &Mount) -> bool {
    mount.typ().as_deref() == Some("bind")
        || mount
            .options()
            .iter()
            .flatten()
            .any(|option| option == "bind" || option == "rbind")
}

/// Makes `process.cwd`, as runc and Docker do; libcontainer would fail. Never outside of the rootfs, whatever links
/// the image holds.
fn make_working_directory(spec: &Spec) -> Result<(), RuntimeError> {
    let (Some(root), Some(process)) = (spec.root(), spec.process()) else {
        return Ok(());
    };
    let cwd = process.cwd();
    // Below a bind mount, the directory has to be made in its source.
    let covering = spec
        .mounts()
        .iter()
        .flatten()
        .filter(|mount| cwd.starts_with(mount.destination()))
        .max_by_key(|mount| mount.destination().components().count());
    let (base, inside) = match covering {
        Some(mount) if is_bind(mount) => {
            let Some(source) = mount.source() else {
                return Ok(());
            };
            (
                source.as_path(),
                cwd.strip_prefix(mount.destination()).unwrap_or(cwd),
            )
        }
        // A fresh tmpfs or /proc: nothing to be made in advance.
        Some(_) => return Ok(()),
        None => (root.path().as_path(), cwd.as_path()),
    };
    if inside.as_os_str().is_empty() || inside == Path::new("/") || base.is_file() {
        return Ok(());
    }
    let mode = std::fs::Permissions::from_mode(MADE_DIRECTORY_MODE);
    let made = pathrs::Root::open(base).and_then(|base| base.mkdir_all(inside, &mode));
    made.map(|_| ()).map_err(|error| {
        RuntimeError::new(
            ErrorKind::InvalidSpec,
            format!("mkdir {}: {error}", cwd.display()),
        )
    })
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, RuntimeError> {
    let bytes = std::fs::read(path).map_err(|e| {
        RuntimeError::new(
            ErrorKind::InvalidSpec,
            format!("cannot read {}: {e}", path.display()),
        )
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|e| RuntimeError::new(ErrorKind::InvalidSpec, format!("{}: {e}", path.display())))
}
