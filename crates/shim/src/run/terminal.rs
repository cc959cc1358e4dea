//! `pseudoTerminal: true`: a terminal in place of the container's pipes.
//!
//! The OCI runtime makes it in the container's own devpts, so that it has a name there (`/dev/pts/0`), is `/dev/console`
//! and controls the container's session, and hands its other end over a socket, as the specification has it. Programs
//! colour, flush each line and end lines in CR LF, as under `docker run --tty`. Under Fargate nobody sits at the other
//! end, so no signal ever comes from it.

use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::isatty;

/// The runtime sends the name of the device along, which nobody reads.
const NAME_BYTES: usize = 256;

/// Where the runtime hands over a terminal. The socket's file goes with the value.
pub(super) struct Console {
    listener: UnixListener,
    file: PathBuf,
}

impl Console {
    /// For the container with this number. The name is short, since a socket's path has at most 107 bytes.
    pub fn listen(task_dir: &Path, container: usize) -> io::Result<Self> {
        let name = format!("console-{container}.sock");
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The shim's working directory is the task's.
        let listener = UnixListener::bind(&name)?;
        fs::set_permissions(&name, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            file: task_dir.join(name),
        })
    }

    pub fn path(&self) -> &Path {
        &self.file
    }

    /// The terminal, once the runtime has said that the container runs: it is sent before that.
    pub fn take(self) -> io::Result<OwnedFd> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nonblocking(true)?;
        let mut name = [0; NAME_BYTES];
        let mut parts = [IoSliceMut::new(&mut name)];
        let mut space = nix::cmsg_space!(RawFd);
        let message = recvmsg::<()>(
            stream.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )?;
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(descriptors) = control
                && let Some(&first) = descriptors.first()
            {
                // SAFETY: the kernel has just made it for us, and `cmsg_space` has room for one only.
                let terminal = unsafe { OwnedFd::from_raw_fd(first) };
                if isatty(&terminal)? {
                    return Ok(terminal);
                }
            }
        }
        Err(io::Error::other("the runtime sent no terminal"))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // The directory goes with the task.
        let _ = fs::remove_file(&self.file);
    }
}
