//! Size, contrast and habits of the style and the script.

use crate::server::pages::{SCRIPT, STYLE};

#[test]
fn the_style_is_small_and_loads_nothing() {
    assert!(STYLE.len() < 12 * 1024, "{}", STYLE.len());
    assert!(SCRIPT.len() < 8 * 1024, "{}", SCRIPT.len());
    for load in ["url(", "@import", "http:", "https:"] {
        assert!(!STYLE.contains(load) && !SCRIPT.contains(load), "{load}");
    }
    for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", ".style"] {
        assert!(!SCRIPT.contains(way), "{way}");
    }
}

/// The ratio of WCAG 2.2 between a colour and what it stands on, from the style itself.
#[test]
fn text_has_a_contrast_of_four_and_a_half_in_both_schemes() {
    let schemes: Vec<&str> = STYLE.split("prefers-color-scheme: dark").take(2).collect();
    let (light, dark) = (schemes[0], schemes[1].split("\n}\n").next().unwrap());
    let pairs = [
        ("text", "page"),
        ("text", "card"),
        ("text", "cell"),
        ("quiet", "page"),
        ("quiet", "card"),
        ("link", "page"),
        ("link", "card"),
        ("on-link", "link"),
        ("on-bad", "bad"),
        ("good", "card"),
        ("warn", "card"),
        ("bad", "card"),
        ("good", "page"),
        ("warn", "page"),
        ("bad", "page"),
        ("warn", "warn-back"),
        ("bad", "bad-back"),
        ("text", "warn-back"),
        ("text", "bad-back"),
        ("text", "good-back"),
        ("link", "warn-back"),
        ("link", "bad-back"),
        ("link", "good-back"),
        ("card", "mark"),
    ];
    for (scheme, style) in [("light", light), ("dark", dark)] {
        let color = |name: &str| {
            let key = format!("--{name}: #");
            let at = style.find(&key).unwrap_or_else(|| panic!("{scheme}: {name}")) + key.len();
            luminance(style[at..].split(';').next().unwrap())
        };
        for (front, back) in pairs {
            assert!(contrast(color(front), color(back)) >= 4.5, "{scheme}: {front} on {back}");
        }
        // Borders of fields, and marks that are no text.
        for (front, back) in [("edge", "card"), ("mark", "card"), ("warn", "card"), ("mark", "cell")] {
            assert!(contrast(color(front), color(back)) >= 3.0, "{scheme}: {front} on {back}");
        }
    }
}

fn contrast(a: f64, b: f64) -> f64 {
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(hex: &str) -> f64 {
    let hex = if hex.len() == 3 { hex.chars().flat_map(|digit| [digit, digit]).collect() } else { hex.to_owned() };
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
}
