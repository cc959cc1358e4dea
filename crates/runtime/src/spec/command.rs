//! Which command runs, where, and with which environment: Docker's rules, which ECS follows.

use super::{ContainerSettings, ImageConfig, Placement, ResolvedUser, SpecError};
use crate::executor::DEFAULT_PATH;

/// The command of the container's first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub args: Vec<String>,
    /// Absolute. Docker makes it if the image has no such directory; so does our runtime.
    pub working_directory: String,
}

impl Command {
    /// An entry point in the task definition drops the image's ENTRYPOINT *and* CMD; a command alone keeps the
    /// image's ENTRYPOINT (Docker's `docker run`, ECS developer guide `entryPoint` and `command`).
    pub fn of(image: &ImageConfig, container: &ContainerSettings) -> Result<Command, SpecError> {
        // An empty list is the same as none, in the API and in Docker.
        let set = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
        let (entry_point, command) = match (set(&container.entry_point), set(&container.command)) {
            (Some(entry_point), command) => (entry_point, command.unwrap_or_default()),
            (None, Some(command)) => (image.entrypoint.clone(), command),
            (None, None) => (image.entrypoint.clone(), image.cmd.clone()),
        };
        // One empty word is Docker's way to have no entry point at all.
        let entry_point = if entry_point == [""] {
            Vec::new()
        } else {
            entry_point
        };
        let args: Vec<String> = entry_point.into_iter().chain(command).collect();
        if args.is_empty() {
            return Err(SpecError::NoCommand);
        }
        if args.iter().any(|arg| arg.contains('\0')) {
            return Err(SpecError::NulByte("the command"));
        }
        let named = [&container.working_directory, &image.working_dir]
            .into_iter()
            .find(|dir| !dir.is_empty());
        let working_directory = named.cloned().unwrap_or_else(|| "/".to_owned());
        if !working_directory.starts_with('/') {
            return Err(SpecError::RelativeWorkingDirectory(working_directory));
        }
        if working_directory.contains('\0') {
            return Err(SpecError::NulByte("the working directory"));
        }
        Ok(Command {
            args,
            working_directory,
        })
    }
}

/// Defaults, then the image's, then the task definition's, then the platform's: the later wins, in its old place.
pub(super) fn environment(
    image: &ImageConfig,
    container: &ContainerSettings,
    user: &ResolvedUser,
    placement: &Placement,
) -> Result<Vec<String>, SpecError> {
    let mut env = vec![
        format!("PATH={DEFAULT_PATH}"),
        format!("HOSTNAME={}", placement.hostname),
    ];
    if container.pseudo_terminal {
        env.push("TERM=xterm".to_owned());
    }
    for entry in &image.env {
        match entry.split_once('=') {
            Some((name, value)) => set(&mut env, name, value),
            // Docker: a name without a value removes the variable.
            None => env.retain(|old| name_of(old) != entry),
        }
    }
    for (name, value) in container
        .environment
        .iter()
        .chain(&placement.injected_environment)
    {
        set(&mut env, name, value);
    }
    if !env.iter().any(|entry| name_of(entry) == "HOME") {
        env.push(format!("HOME={}", user.home));
    }
    match env.iter().any(|entry| entry.contains('\0')) {
        true => Err(SpecError::NulByte("the environment")),
        false => Ok(env),
    }
}

fn set(env: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    match env.iter_mut().find(|old| name_of(old) == name) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
}

fn name_of(entry: &str) -> &str {
    entry.split('=').next().unwrap_or(entry)
}
