//! The time zone of the host, parsed from the forms in which systems state it.

use chrono_tz::Tz;

use super::{Origin, Variables};
use crate::names::printable;

/// The zone of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalZone {
    /// The zone; UTC if the host states none.
    pub zone: Tz,
    /// Its origin.
    pub origin: Origin,
    /// What could not be parsed.
    pub warning: Option<String>,
}

/// Finds the zone of the host: the variable `TZ`, else the system's setting (a name like `Europe/Berlin`), else UTC.
///
/// `TZ` may be a name, with or without a colon in front, or a path into the zone files. A rule like `CET-1CEST` is not
/// supported.
pub fn local_zone(variables: &Variables<'_>, system: &dyn Fn() -> Option<String>) -> LocalZone {
    // Only the environment: the `.env` of an application describes the application's clock, not the host's.
    if let Some(value) = (variables.environment)("TZ").filter(|value| !value.is_empty()) {
        let text = value.to_string_lossy();
        let zone = zone_of(&text);
        let warning = zone.is_none().then(|| {
            let text = printable(&text);
            format!(
                "TZ=\"{text}\" is not a time zone; using UTC (set it, or retention.time_zone, to a name like \
             Europe/Berlin)"
            )
        });
        return LocalZone {
            zone: zone.unwrap_or(Tz::UTC),
            origin: Origin::Environment { variable: "TZ".into() },
            warning,
        };
    }
    match system() {
        None => LocalZone { zone: Tz::UTC, origin: Origin::Default, warning: None },
        Some(name) => {
            let zone = zone_of(&name);
            let warning = zone
                .is_none()
                .then(|| format!("the time zone of this host, \"{}\", is unknown; using UTC", printable(&name)));
            LocalZone { zone: zone.unwrap_or(Tz::UTC), origin: Origin::System, warning }
        }
    }
}

fn zone_of(text: &str) -> Option<Tz> {
    let text = text.trim();
    let text = text.strip_prefix(':').unwrap_or(text);
    let name = text.split_once("/zoneinfo/").map_or(text, |(_, name)| name);
    let name = name.strip_prefix("posix/").or_else(|| name.strip_prefix("right/")).unwrap_or(name);
    match name {
        "UTC0" | "GMT0" | "Universal" => Some(Tz::UTC),
        name => name.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DotEnv;

    fn zone(tz: &'static str, system: Option<&str>) -> LocalZone {
        let environment = move |name: &str| (name == "TZ").then(|| tz.into());
        let variables = Variables::new(&environment, DotEnv::default());
        local_zone(&variables, &|| system.map(str::to_owned))
    }

    #[test]
    fn the_variable_beats_the_system_and_its_forms_are_understood() {
        for text in [
            "Europe/Berlin",
            ":Europe/Berlin",
            "/usr/share/zoneinfo/Europe/Berlin",
            ":/usr/share/zoneinfo/posix/Europe/Berlin",
        ] {
            assert_eq!(zone(text, Some("Asia/Tokyo")).zone, Tz::Europe__Berlin, "{text}");
        }
        assert_eq!(
            zone("", Some("Asia/Tokyo")),
            LocalZone { zone: Tz::Asia__Tokyo, origin: Origin::System, warning: None }
        );
        assert_eq!(zone("", None), LocalZone { zone: Tz::UTC, origin: Origin::Default, warning: None });
        assert_eq!(zone("UTC0", None).warning, None);
    }

    #[test]
    fn a_rule_instead_of_a_name_is_said_and_not_guessed() {
        let found = zone("CET-1CEST", Some("Asia/Tokyo"));
        assert_eq!(found.zone, Tz::UTC);
        assert!(found.warning.is_some_and(|warning| warning.contains("CET-1CEST")));
    }
}
