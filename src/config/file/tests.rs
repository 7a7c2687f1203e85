use super::*;
use crate::config::EXAMPLE;
use crate::failure::Remedy;

fn problems(text: &str) -> Vec<String> {
    FileLayer::parse(Path::new("heirloom.toml"), text).1.iter().map(ToString::to_string).collect()
}

/// Invalid files: the text, and what each message must contain.
#[test]
fn each_wrong_line_is_named_with_its_key() {
    let table: &[(&str, &str)] = &[
        ("[retention]\nkep = 3", "heirloom.toml:2: retention.kep: is not a setting; did you mean \"keep\"?"),
        ("[retention]\nzzz = 3", "heirloom.toml:2: retention.zzz: is not a setting"),
        ("[retentoin]\nkeep = 3", "heirloom.toml:1: retentoin: is not a section; did you mean \"retention\"?"),
        ("keep = 3", "heirloom.toml:1: keep: is not a section here; it belongs in [retention]"),
        ("[store]\nkeep = 3", "heirloom.toml:2: store.keep: is not a setting here; it belongs in [retention]"),
        (
            "\n\n[retention]\nkeep = 0",
            "heirloom.toml:4: retention.keep: must be a whole number from 1 to 4294967295, not 0",
        ),
        ("[retention]\nkeep = -1", "heirloom.toml:2: retention.keep: must be a whole number"),
        (
            "[retention]\nkeep = \"10\"",
            "heirloom.toml:2: retention.keep: must be a whole number from 1 to 4294967295, not \"10\"",
        ),
        ("[retention]\nkeep = 1.5", "heirloom.toml:2: retention.keep: must be a single value, not a decimal number"),
        ("[retention]\nkeep = 99999999999999999999", "heirloom.toml:2: retention.keep: must be a smaller number"),
        ("[retention]\nmax_age = \"soon\"", "heirloom.toml:2: retention.max_age: must be an age like \"90d\""),
        ("[retention]\nmax_age = 90", "heirloom.toml:2: retention.max_age: must be an age"),
        ("[retention]\nmax_size = \"big\"", "heirloom.toml:2: retention.max_size: must be a size like \"20GB\""),
        ("[retention]\nmax_size = 0", "heirloom.toml:2: retention.max_size: must be a size"),
        (
            "[retention]\ntime_zone = \"Mars\"",
            "heirloom.toml:2: retention.time_zone: must be \"local\", \"UTC\" or a name",
        ),
        (
            "[backup]\ncheck = \"fast\"",
            "heirloom.toml:2: backup.check: must be \"full\", \"quick\" or \"none\", not \"fast\"",
        ),
        (
            "[backup]\ncompression_level = 13",
            "heirloom.toml:2: backup.compression_level: must be a whole number from 1 to 12, not 13",
        ),
        ("[backup]\nthreads = 0", "heirloom.toml:2: backup.threads: must be a whole number from 1 to 1024, not 0"),
        ("[backup]\nvacuum = \"yes\"", "heirloom.toml:2: backup.vacuum: must be true or false, not \"yes\""),
        ("[health]\nmax_backup_age = \"0h\"", "heirloom.toml:2: health.max_backup_age: must be an age"),
        ("[schedule]\nevery = \"30s\"", "heirloom.toml:2: schedule.every: must be an interval like \"1h\" or \"30m\""),
        ("[schedule]\nevery = 1", "heirloom.toml:2: schedule.every: must be an interval"),
        ("[schedule]\ncheck_every = \"0s\"", "heirloom.toml:2: schedule.check_every: must be an interval"),
        ("[schedule]\ncron = \"0 25 * * *\"", "heirloom.toml:2: schedule.cron: \"0 25 * * *\" is not a line of cron"),
        ("[schedule]\ncron = [\"0 3 * * *\", \"0 0 31 2 *\"]", "heirloom.toml:2: schedule.cron: \"0 0 31 2 *\" never"),
        ("[schedule]\ncron = []", "heirloom.toml:2: schedule.cron: must be a line of cron or a list of them"),
        ("[schedule]\ncron = [3]", "heirloom.toml:2: schedule.cron: must be a list of strings, not of a number"),
        ("[schedule]\nif_changed = 1", "heirloom.toml:2: schedule.if_changed: must be true or false, not 1"),
        ("[schedule]\nenabled = \"no\"", "heirloom.toml:2: schedule.enabled: must be true or false"),
        ("[schedule]\nrotate = \"daily\"", "heirloom.toml:2: schedule.rotate: must be \"after backup\", \"never\" or"),
        ("[schedule]\ncleanup = \"0 3\"", "heirloom.toml:2: schedule.cleanup: \"0 3\" is not a line of cron"),
        ("[schedule]\nverify = \"after backup\"", "heirloom.toml:2: schedule.verify: must be a line of cron"),
        ("[schedule]\nevry = \"1h\"", "heirloom.toml:2: schedule.evry: is not a setting; did you mean \"every\"?"),
        ("[store]\ndir = \"\"", "heirloom.toml:2: store.dir: must be a path, not an empty string"),
        ("[store]\ndir = \"~/b\"", "heirloom.toml:2: store.dir: must not start with \"~\""),
        ("[store]\ndir = \"$\"", "heirloom.toml:2: store.dir: has a \"$\" without a variable name"),
        ("[store]\ndir = [\"a\", \"b\"]", "heirloom.toml:2: store.dir: must be a single value, not a list"),
        ("store = 3", "heirloom.toml:1: store: must be a table, not a number"),
        ("sets = 1", "heirloom.toml:1: sets: must be a table"),
        ("[sets.a]", "heirloom.toml:1: sets.a: names no databases"),
        ("[sets.a.databases]", "heirloom.toml:1: sets.a.databases: names no databases"),
        (
            "[sets.a]\ndatabase.x = 'y'",
            "heirloom.toml:2: sets.a.database: is not a setting of a set; did you mean \"databases\"?",
        ),
        ("[sets.a]\ndatabases = 3", "heirloom.toml:2: sets.a.databases: must be a table"),
        ("[sets.a.databases]\nx = []", "heirloom.toml:2: sets.a.databases.x: names no path"),
        (
            "[sets.a.databases]\nx = [\n'a',\n3]",
            "heirloom.toml:4: sets.a.databases.x: must be a path or a list of paths, not a number",
        ),
        ("[sets.a.databases]\nx = ''", "heirloom.toml:2: sets.a.databases.x: must be a path"),
        ("[sets.a.databases]\n'../x' = 'a'", "heirloom.toml:2: sets.a.databases.../x: \"../x\" cannot be a name"),
        ("[sets.'a b'.databases]\nx = 'a'", "heirloom.toml:1: sets.a b: \"a b\" cannot be a name"),
        (
            "[sets.a.databases]\nx = 'a'\nX = 'b'",
            "heirloom.toml:3: sets.a.databases.X: differs from \"x\" only in upper and lower case",
        ),
        ("[sets.a.databases]\nx='1'\n[sets.A.databases]\nx='1'", "heirloom.toml:3: sets.A: differs from \"a\" only in"),
        ("[store]\ndir = 'a'\ndir = 'b'", "heirloom.toml:3: duplicate key"),
        ("[store]\ndir = ", "heirloom.toml:2: "),
        ("[store\ndir = 'a'", "heirloom.toml:1: "),
        ("\u{feff}\n[store]\nx = 1", "heirloom.toml:3: store.x: is not a setting"),
        ("[store]\n\"di\\u001b[31mr\" = 1", "heirloom.toml:2: store.di?[31mr: is not a setting"),
    ];
    for (text, expected) in table {
        let found = problems(text);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{text:?}\n  expected {expected}\n  found {found:?}"
        );
    }
}

#[test]
fn a_list_of_databases_gets_an_example() {
    let (_, problems) = FileLayer::parse(Path::new("x"), "[sets.a]\ndatabases = ['/srv/a.db']");
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    let Some(Remedy::Advice(advice)) = &problem.remedy else { panic!("{problem:?}") };
    assert!(advice.contains("databases = { app ="), "{advice}");
}

#[test]
fn each_wrong_line_of_cron_is_named_where_it_stands() {
    let found = problems("[schedule]\ncron = [\n'0 3 * * *',\n'0 3 * *',\n'0 0 30 2 *',\n]\n");
    let starts =
        ["heirloom.toml:4: schedule.cron: \"0 3 * *\" is", "heirloom.toml:5: schedule.cron: \"0 0 30 2 *\" never"];
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().zip(starts).all(|(found, start)| found.starts_with(start)), "{found:?}");
}

#[test]
fn all_problems_of_a_file_come_together_and_in_order() {
    let found = problems("[sets.'/']\nx = 1\n[retention]\nkeep = 'x'\ndayly = 7\n[bakcup]\n");
    let lines: Vec<&str> = found.iter().filter_map(|problem| problem.split(": ").next()).collect();
    assert_eq!(lines, ["heirloom.toml:1", "heirloom.toml:4", "heirloom.toml:5", "heirloom.toml:6"]);
}

#[test]
fn the_example_says_the_defaults_and_every_key() {
    let (layer, problems) = FileLayer::parse(Path::new("x"), EXAMPLE);
    assert_eq!(
        (layer.settings.len(), layer.databases.len(), problems.len()),
        (0, 0, 0),
        "the written file changes nothing"
    );

    let active: String = EXAMPLE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned() + "\n")
        .collect();
    let (layer, problems) = FileLayer::parse(Path::new("x"), &active);
    assert_eq!(problems, []);
    assert_eq!(layer.databases.len(), 2);
    for key in Key::ALL {
        let found =
            layer.settings.iter().filter(|(found, _, _)| *found == key).map(|(_, value, _)| value).collect::<Vec<_>>();
        let [value] = found[..] else { panic!("{key} is in the example {} times", found.len()) };
        let mut settings = Settings::default();
        key.set(value, &mut settings).unwrap();
        if key.get(&Settings::default()).is_some() {
            assert_eq!(settings, Settings::default(), "the example shows another value of {key} than the default");
        }
    }
}

/// A pattern of values, right and wrong ones.
const SOME_VALUE: &str = "(-?[0-9]{1,25}|\"[a-z0-9 $~/ä:.-]{0,12}\"|true|[0-9]+[.][0-9]+|\\[\\]|\\{\\})";

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "[\\PC\n\t\"'\\\\=#\\[\\]{}.$]{0,120}") {
        FileLayer::parse(Path::new("heirloom.toml"), &text);
    }

    #[test]
    fn any_value_of_any_key_is_taken_or_named(at in 0..Key::ALL.len(), value in SOME_VALUE) {
        let key = Key::ALL[at];
        // A key above all tables follows a comment instead of a header.
        let header = if key.section().is_empty() { "#".to_owned() } else { format!("[{}]", key.section()) };
        let text = format!("{header}\n{} = {value}\n", key.name());
        let (layer, problems) = FileLayer::parse(Path::new("heirloom.toml"), &text);
        proptest::prop_assert!(layer.settings.len() + problems.len() >= 1);
        proptest::prop_assert!(problems.iter().all(|problem| problem.to_string().starts_with("heirloom.toml:2: ")));
    }
}
