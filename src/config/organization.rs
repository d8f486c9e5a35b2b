//! The organization that the account is a member of: its ids, as AWS Organizations makes them.

use super::reader::Reader;
use crate::identities::Organization;

/// Reads `organization` and `organization_paths` of a table.
pub(super) fn organization(table: &mut Reader<'_, '_>) -> Option<Organization> {
    let id = table.string("organization");
    let paths = table.strings("organization_paths");
    if let Some(id) = &id {
        table.must("organization", "look like `o-a1b2c3d4e5`", id, is_organization);
    }
    for path in &paths {
        let organization = path.value.split('/').next().unwrap_or_default();
        let message = match &id {
            _ if !is_path(&path.value) => format!(
                "`organization_paths` must list paths such as \
                 `o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/`, from the organization to the unit of the \
                 account, not `{}`",
                path.value
            ),
            None => format!("`organization_paths` needs `organization = \"{organization}\"`"),
            Some(id) if id.value != organization => {
                format!("`{}` is a path of another organization than `{}`", path.value, id.value)
            }
            Some(_) => continue,
        };
        table.report_at(path.place, message);
    }
    let paths = paths.into_iter().map(|path| path.value).collect();
    id.map(|id| Organization { id: id.value, paths })
}

/// `o-` and 10 to 32 letters and digits.
fn is_organization(id: &str) -> bool {
    id.strip_prefix("o-").is_some_and(|rest| is_word(rest, 10))
}

/// Organization, root `r-…`, and units `ou-…-…` of this root, each with a slash behind it.
fn is_path(path: &str) -> bool {
    let mut steps = path.strip_suffix('/').unwrap_or_default().split('/');
    let organization = steps.next().unwrap_or_default();
    let root = steps.next().and_then(|root| root.strip_prefix("r-")).unwrap_or_default();
    let is_unit = |unit: &str| {
        let rest = unit.strip_prefix("ou-").and_then(|rest| rest.strip_prefix(root));
        rest.and_then(|rest| rest.strip_prefix('-')).is_some_and(|rest| is_word(rest, 8))
    };
    is_organization(organization) && is_word(root, 4) && steps.all(is_unit)
}

/// Small letters and digits, so many at least and 32 at most.
fn is_word(text: &str, least: usize) -> bool {
    (least..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_from_the_organization_to_a_unit() {
        for path in [
            "o-a1b2c3d4e5/r-ab12/",
            "o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/",
            "o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/ou-ab12-22222222/",
        ] {
            assert!(is_path(path), "{path}");
        }
        for path in [
            "",
            "/",
            "o-a1b2c3d4e5",
            "o-a1b2c3d4e5/",
            "o-a1b2c3d4e5/r-ab12",
            "o-a1b2c3d4e5/r-ab12/*",
            "o-a1b2c3d4e5/r-ab12//",
            "o-a1b2c3d4e5/r-ab1/",
            "o-a1b2c3d4e/r-ab12/",
            "o-A1B2C3D4E5/r-ab12/",
            "o-a1b2c3d4e5/ou-ab12-11111111/",
            "o-a1b2c3d4e5/r-ab12/ou-ab12-11111111",
            "o-a1b2c3d4e5/r-ab12/ou-ab12-1111111/",
            "o-a1b2c3d4e5/r-ab12/ou-cd34-11111111/",
            "o-a1b2c3d4e5/r-ab12/123456789012/",
        ] {
            assert!(!is_path(path), "{path}");
        }
    }
}
