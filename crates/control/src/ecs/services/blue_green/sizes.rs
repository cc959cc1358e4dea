//! How many tasks each deployment of a service shall have while two stand side by side. Pure.

use neargate_planner::blue_green::Status;

use super::super::records::{DeploymentRecord, ServiceRecord};

/// What is wanted of one deployment's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Tasks(u32),
    /// What it has, and no more.
    AsItIs,
    /// Its tasks go, and it goes with the last.
    Going,
}

/// The deployment whose progress says how many tasks the others have; `None` under the strategy ROLLING.
pub fn governing(service: &ServiceRecord) -> Option<&DeploymentRecord> {
    let primary = service.deployments.first()?;
    let with_status = |wanted: fn(Status) -> bool| {
        service.deployments.iter().find(|deployment| {
            deployment
                .blue_green
                .as_ref()
                .is_some_and(|b| wanted(b.progress.status))
        })
    };
    let open = with_status(|status| !status.is_final());
    // One that went back governs until its last task has ended.
    let undone =
        with_status(|status| matches!(status, Status::RolledBack | Status::RollbackFailed)).filter(
            |green| {
                let blue = green.blue_green.as_ref().and_then(|b| b.blue.as_deref());
                blue == Some(primary.id.as_str())
            },
        );
    open.or(undone)
        .or_else(|| Some(primary).filter(|p| p.blue_green.is_some()))
}

/// What `green`, which governs, wants of a deployment.
pub fn size(service: &ServiceRecord, green: &DeploymentRecord, of: &DeploymentRecord) -> Size {
    let Some(record) = &green.blue_green else {
        return Size::Tasks(service.desired_count);
    };
    let progress = &record.progress;
    let (is_green, is_blue) = (of.id == green.id, record.blue.as_deref() == Some(&of.id));
    let wanted = match (is_green, is_blue) {
        (true, _) if progress.status == Status::Failed => return Size::AsItIs,
        (true, _) => progress.wants_green(),
        (_, true) => progress.wants_blue(),
        _ if progress.wants_others() => return Size::AsItIs,
        _ => return Size::Going,
    };
    match wanted {
        true => Size::Tasks(service.desired_count),
        // Until the end is written its record is needed.
        false if progress.status.is_final() => Size::Going,
        false => Size::Tasks(0),
    }
}
