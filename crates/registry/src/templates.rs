//! Repository creation templates: what a repository that a push makes begins with.
//!
//! AWS: user guide, "repository creation templates". The longest prefix wins; `ROOT` is the last resort.

use neargate_domain::Scope;
use neargate_store::Condition;

use crate::error::RegistryError;
use crate::keys;
use crate::limits::MAX_TXN_TRIES;
use crate::name::RepositoryName;
use crate::records::{LifecyclePolicy, RepositoryRecord, TemplateRecord};
use crate::registry::Registry;
use crate::table::{self, Change};

const ROOT: &str = "ROOT";
const CREATE_ON_PUSH: &str = "CREATE_ON_PUSH";

impl Registry {
    pub async fn create_template(
        &self,
        scope: &Scope,
        record: &TemplateRecord,
    ) -> Result<(), RegistryError> {
        let key = keys::template(scope, &record.prefix);
        let mut change = Change::new();
        change.require(&key, Condition::Absent).put(&key, record);
        if change.commit(&*self.store).await? {
            Ok(())
        } else {
            Err(RegistryError::TemplateExists)
        }
    }

    pub async fn update_template(
        &self,
        scope: &Scope,
        prefix: &str,
        update: &(dyn Fn(&mut TemplateRecord) + Sync),
    ) -> Result<TemplateRecord, RegistryError> {
        let key = keys::template(scope, prefix);
        for _ in 0..MAX_TXN_TRIES {
            let mut row = table::get::<TemplateRecord>(&*self.store, &key)
                .await?
                .ok_or(RegistryError::TemplateNotFound)?;
            update(&mut row.record);
            let mut change = Change::new();
            change
                .require(&key, Condition::ModRevision(row.revision))
                .put(&key, &row.record);
            if change.commit(&*self.store).await? {
                return Ok(row.record);
            }
        }
        Err(RegistryError::Contention)
    }

    pub async fn delete_template(
        &self,
        scope: &Scope,
        prefix: &str,
    ) -> Result<TemplateRecord, RegistryError> {
        let key = keys::template(scope, prefix);
        let row = table::get::<TemplateRecord>(&*self.store, &key)
            .await?
            .ok_or(RegistryError::TemplateNotFound)?;
        let mut change = Change::new();
        change
            .require(&key, Condition::ModRevision(row.revision))
            .delete(&key);
        if change.commit(&*self.store).await? {
            Ok(row.record)
        } else {
            Err(RegistryError::Contention)
        }
    }

    /// All templates, in the order of their prefixes.
    pub async fn templates(&self, scope: &Scope) -> Result<Vec<TemplateRecord>, RegistryError> {
        let rows = table::list(&*self.store, &keys::templates(scope)).await?;
        Ok(rows.into_iter().map(|row| row.record).collect())
    }

    /// The repository that a push of this name makes; `None` if it makes none.
    pub(crate) async fn repository_for_push(
        &self,
        scope: &Scope,
        name: &RepositoryName,
    ) -> Result<Option<RepositoryRecord>, RegistryError> {
        let templates = self.templates(scope).await?;
        let template = template_for_push(&templates, name);
        if template.is_none() && !self.config.create_on_push {
            return Ok(None);
        }
        let mut record = RepositoryRecord {
            name: name.clone(),
            created_at: self.now(),
            tag_rule: Default::default(),
            scan_on_push: false,
            encryption: Default::default(),
            tags: Default::default(),
            policy_text: None,
            lifecycle: None,
        };
        if let Some(template) = template {
            record.tag_rule = template.tag_rule.clone();
            record.encryption = template.encryption.clone().unwrap_or_default();
            record.tags = template.resource_tags.clone();
            record.policy_text = template.repository_policy.clone();
            record.lifecycle = template
                .lifecycle_policy
                .clone()
                .map(|text| LifecyclePolicy {
                    text,
                    last_evaluated_at: None,
                });
        }
        Ok(Some(record))
    }
}

fn template_for_push<'a>(
    templates: &'a [TemplateRecord],
    name: &RepositoryName,
) -> Option<&'a TemplateRecord> {
    let matches = |template: &&TemplateRecord| {
        template.prefix == ROOT
            || name
                .as_str()
                .strip_prefix(&template.prefix)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    templates
        .iter()
        .filter(matches)
        .filter(|template| {
            template
                .applied_for
                .iter()
                .any(|use_| use_ == CREATE_ON_PUSH)
        })
        .max_by_key(|template| match template.prefix.as_str() {
            ROOT => 0,
            prefix => prefix.len(),
        })
}

#[cfg(test)]
mod tests {
    use neargate_domain::Timestamp;

    use super::*;

    fn template(prefix: &str, applied_for: &str) -> TemplateRecord {
        TemplateRecord {
            prefix: prefix.into(),
            description: None,
            encryption: None,
            resource_tags: Default::default(),
            tag_rule: Default::default(),
            repository_policy: None,
            lifecycle_policy: None,
            applied_for: vec![applied_for.into()],
            custom_role_arn: None,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    #[test]
    fn the_longest_prefix_for_pushes_wins() {
        let with_root = [
            template("ROOT", CREATE_ON_PUSH),
            template("team", CREATE_ON_PUSH),
            template("team/web", CREATE_ON_PUSH),
            template("mirror", "PULL_THROUGH_CACHE"),
        ];
        for (name, templates, want) in [
            ("team/web/app", &with_root[..], Some("team/web")),
            ("team/app", &with_root, Some("team")),
            ("teams/app", &with_root, Some("ROOT")),
            ("team", &with_root, Some("ROOT")),
            ("mirror/app", &with_root, Some("ROOT")),
            ("mirror/app", &with_root[1..], None),
            ("other", &[], None),
        ] {
            let name = RepositoryName::parse(name).expect("a name");
            let found = template_for_push(templates, &name).map(|t| t.prefix.as_str());
            assert_eq!(found, want, "{name}");
        }
    }
}
