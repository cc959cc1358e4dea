//! Volumes and what is mounted of them.

use std::collections::HashSet;

use neargate_aws_api::ecs::types::{ContainerDefinition, RegisterTaskDefinitionRequest, Volume};

use super::{Verdict, is_name};

/// Answers the volumes' names.
pub fn check(request: &RegisterTaskDefinitionRequest) -> Result<HashSet<String>, String> {
    let mut names = HashSet::new();
    for volume in request.volumes.as_deref().unwrap_or_default() {
        let name = volume.name.clone().unwrap_or_default();
        if !is_name(&name) {
            return Err("The volume name is invalid: use up to 255 letters, digits, hyphens and underscores.".to_owned());
        }
        check_efs(volume)?;
        if !names.insert(name.clone()) {
            return Err(format!(
                "Volume names must be unique within a task definition: '{name}' stands twice."
            ));
        }
    }
    Ok(names)
}

fn check_efs(volume: &Volume) -> Verdict {
    let Some(efs) = &volume.efs_volume_configuration else {
        return Ok(());
    };
    let encrypted = efs
        .transit_encryption
        .is_some_and(|t| t.as_str() == "ENABLED");
    if efs.transit_encryption_port.is_some() && !encrypted {
        return Err("TransitEncryptionPort requires that TransitEncryption is enabled.".to_owned());
    }
    if let Some(authorization) = &efs.authorization_config {
        let iam = authorization.iam.is_some_and(|i| i.as_str() == "ENABLED");
        if iam && !encrypted {
            return Err(
                "EFS IAM authorization requires TransitEncryption to be enabled.".to_owned(),
            );
        }
        let root = efs.root_directory.as_deref().unwrap_or("/");
        if authorization.access_point_id.is_some() && root != "/" {
            return Err("When using an EFS access point, the root directory must either be set to \"/\" or be omitted.".to_owned());
        }
    }
    Ok(())
}

pub fn check_mounts(container: &ContainerDefinition, volumes: &HashSet<String>) -> Verdict {
    for mount in container.mount_points.as_deref().unwrap_or_default() {
        let volume = mount.source_volume.as_deref().unwrap_or_default();
        if !volumes.contains(volume) {
            return Err(format!("Unknown volume '{volume}'."));
        }
        let path = mount.container_path.as_deref().unwrap_or_default();
        if !path.starts_with('/') {
            return Err(format!(
                "The containerPath of the mount point for volume '{volume}' must be an absolute path."
            ));
        }
    }
    Ok(())
}
