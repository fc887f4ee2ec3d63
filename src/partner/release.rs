//! `release.toml`: what may go out to a party. Whatever stands here, class S4 and fields marked `x-release: never` stay home.

use crate::schema::{Schemas, catalogue::Class, fields::Field};
use serde::Deserialize;
use serde_json::Value;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Classes of fields that may go out.
    pub classes: Vec<Class>,
    /// Pointers into `data` that are withheld all the same.
    #[serde(default)]
    pub withhold: Vec<String>,
}

impl Release {
    /// Takes out of `data` what may not go to this party.
    pub fn apply(&self, schemas: &Schemas, data: &mut Value) {
        prune(data, "", &|pointer| schemas.field(pointer).is_some_and(|field| self.lets(pointer, field)));
    }

    /// Whether a field may go to this party.
    pub fn lets(&self, pointer: &str, field: &Field) -> bool {
        let allowed = field.class < Class::S4 && self.classes.contains(&field.class);
        field.releasable && allowed && !self.withhold.iter().any(|one| one == pointer)
    }
}

/// Removes leaves that `keep` does not keep, and objects that become empty.
fn prune(value: &mut Value, pointer: &str, keep: &dyn Fn(&str) -> bool) {
    let Value::Object(members) = value else { return };
    members.retain(|name, inner| {
        let pointer = format!("{pointer}/{name}");
        if !inner.is_object() {
            return keep(&pointer);
        }
        prune(inner, &pointer, keep);
        inner.as_object().is_some_and(|members| !members.is_empty())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_leave_is_taken_out_and_unknown_fields_with_it() {
        let schemas = Schemas::load(std::path::Path::new("schemas")).unwrap();
        let release = Release {
            classes: vec![Class::S0, Class::S1, Class::S2, Class::S4],
            withhold: vec!["/worker/phone".into()],
        };
        let mut data = serde_json::json!({"worker": {"nik": "3201016902960001", "phone": "+62812", "sex": "F"},
            "absence": {"action": "ALLEGED"}, "anything": 1});
        release.apply(&schemas, &mut data);
        assert_eq!(data, serde_json::json!({"worker": {"sex": "F"}}));
    }
}
