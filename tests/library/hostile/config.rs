//! Configurations: for any text, every problem is one printable line about an existing place, and accepted settings
//! survive write and read.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use heirloom::config::{
    DotEnv, Expanded, FileLayer, Key, Layers, Look, Origin, Problem, Settings, Value, Variables, age_text,
    database_path, expand, parse_age, parse_size,
};
use heirloom::failure::Remedy;
use heirloom::names::{ArchiveName, Name, is_file_name, printable};

/// Checks a configuration: the text of the file, that of `.env`, a variable and a URL, with zero bytes between them.
pub fn check(input: &[u8]) {
    let mut parts = input.splitn(4, |&byte| byte == 0).map(String::from_utf8_lossy);
    let mut next = || parts.next().unwrap_or_default().into_owned();
    let (text, dotenv, value, url) = (next(), next(), next(), next());

    let (layer, problems) = FileLayer::parse(Path::new("/etc/heirloom/heirloom.toml"), &text);
    problems.iter().for_each(|problem| presentable(problem, &text));
    let read = DotEnv::parse(&dotenv);
    let lines = dotenv.matches('\n').count() + 1;
    assert!(
        read.warnings.iter().all(|&(line, _)| (1..=lines).contains(&line)),
        "a warning about a line that is not there"
    );

    let environment = |name: &str| {
        (!name.len().is_multiple_of(3) && !value.is_empty()).then(|| OsString::from_vec(value.clone().into_bytes()))
    };
    let variables = Variables::new(&environment, read);
    let look = |path: &Path| if path.as_os_str().len().is_multiple_of(2) { Look::Missing } else { Look::There(None) };
    let zone = || Some(url.clone());
    let effective =
        Layers { file: Some(&layer), variables: &variables, flags: &[], look: &look, system_zone: &zone }.merge();
    effective.problems.iter().chain(&effective.refused_database).for_each(|problem| presentable(problem, &text));
    effective
        .warnings
        .iter()
        .for_each(|warning| assert!(printable(warning) == *warning, "{warning:?} contains terminal controls"));
    assert!(!effective.settings.store.to_string().is_empty());
    for key in Key::ALL {
        let Some(shown) = key.get(&effective.settings) else { continue };
        let text = shown.to_string();
        assert!(printable(&text) == text, "{text:?} contains terminal controls");
        // A size is formatted as it would be written.
        let written = if let Value::Bytes(_) = shown { Value::Text(text) } else { shown.clone() };
        let mut settings = Settings::default();
        key.set(&written, &mut settings)
            .unwrap_or_else(|why| panic!("{key} = {shown} is in force, but is refused: {why}"));
        assert_eq!(key.get(&settings), Some(shown), "{key}");
    }

    if let Ok(path) = database_path(&url) {
        let bytes = path.into_os_string().into_vec();
        assert!(!bytes.is_empty() && !bytes.contains(&0));
    }
    if let Ok(Expanded::Path(path, _)) = expand(&value, |_| Some("x".into())) {
        assert!(!path.as_os_str().is_empty());
    }
    if let Ok(age) = parse_age(&value) {
        assert_eq!(parse_age(&age_text(age)), Ok(age));
    }
    let _ = parse_size(&value);
    names(&value);
}

/// Checks a text as a name.
pub fn names(text: &str) {
    if is_file_name(text) {
        assert!(!text.contains(['/', '\0', '\n', '\x1b']) && text != "." && text != "..");
    }
    if let Ok(name) = ArchiveName::new(text) {
        assert!(is_file_name(name.as_str()) && is_file_name(name.numbered(2).as_str()) && !name.stem().is_empty());
    }
    if let Ok(name) = Name::new(text) {
        assert!(name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
    }
    let name = Name::from_path(Path::new(text));
    assert_eq!(Name::new(name.as_str()), Ok(name));
    let shown = printable(text);
    assert!(!shown.chars().any(char::is_control) && printable(&shown) == shown);
}

fn presentable(problem: &Problem, text: &str) {
    let remedy = match &problem.remedy {
        Some(Remedy::Advice(text) | Remedy::SetVariableOrNameStore { variable: text }) => text.clone(),
        other => format!("{other:?}"),
    };
    for shown in [problem.to_string(), remedy] {
        assert!(printable(&shown) == shown, "{shown:?} contains terminal controls");
    }
    if let Some(Origin::File { line, .. }) = problem.place.as_deref() {
        assert!((1..=text.matches('\n').count() + 1).contains(line), "line {line} is not there");
    }
}
