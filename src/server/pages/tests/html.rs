//! A small reader of HTML, so that the tests see what a browser would.

/// A tag as it stands in a text.
#[derive(Debug)]
pub(super) struct Tag {
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

impl Tag {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Splits HTML into tags (`</x>` is named `/x`), as a browser would as long as every attribute is quoted. Returns the
/// text between them, too.
pub(super) fn tags(html: &str) -> (Vec<Tag>, String) {
    let mut tags = Vec::new();
    let mut text = String::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        let end = rest.find(|char: char| char == '>' || char.is_whitespace()).expect("a tag has an end");
        let mut tag = Tag { name: rest[..end].to_lowercase(), attributes: Vec::new() };
        rest = rest[end..].trim_start();
        while !rest.starts_with('>') {
            let end =
                rest.find(|char: char| matches!(char, '=' | '>') || char.is_whitespace()).expect("an attribute ends");
            let key = rest[..end].to_lowercase();
            rest = &rest[end..];
            let mut value = "";
            if let Some(quoted) = rest.strip_prefix("=\"") {
                let end = quoted.find('"').expect("a value has an end");
                value = &quoted[..end];
                rest = &quoted[end + 1..];
            } else {
                assert!(!rest.starts_with('='), "an attribute without quotes: {key}");
            }
            tag.attributes.push((key, unescaped(value)));
            rest = rest.trim_start();
        }
        rest = &rest[1..];
        tags.push(tag);
    }
    text.push_str(rest);
    (tags, unescaped(&text))
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
