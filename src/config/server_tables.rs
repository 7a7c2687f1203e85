//! Reads the tables `[server]` and `[server.tokens.NAME]`.

use std::collections::HashMap;

use toml::Spanned;
use toml::de::DeValue;

use super::file::{Reader, in_order, kind, shown, unknown};
use super::server::{Role, ServerToken, TokenSource};
use crate::names::Name;

impl Reader {
    pub(super) fn server(&mut self, value: &Spanned<DeValue<'_>>) {
        for (name, value) in in_order(self.entries(value, "server")) {
            let text: &str = name.get_ref();
            if text != "tokens" {
                self.section_entry("server", name, value);
                continue;
            }
            let mut names = HashMap::new();
            for (name, value) in in_order(self.entries(value, "server.tokens")) {
                let Some(token) = self.name(name, "server.tokens", &mut names) else { continue };
                self.token(token, name, value);
            }
        }
    }

    fn token(&mut self, name: Name, span: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let key = format!("server.tokens.{name}");
        let (mut role, mut source, mut is_sound) = (None, None, true);
        for (inner, value) in in_order(self.entries(value, &key)) {
            let text = match value.get_ref() {
                DeValue::String(text) => Ok(text.as_ref()),
                other => Err(format!("must be a text, not {}", kind(other))),
            };
            let inner_name: &str = inner.get_ref();
            let taken = text.and_then(|text| match inner_name {
                "role" => {
                    role = Some(match text {
                        "viewer" => Role::Viewer,
                        "admin" => Role::Admin,
                        _ => return Err("must be \"viewer\" or \"admin\"".into()),
                    });
                    Ok(())
                }
                "sha256" | "token_file" if source.is_some() => {
                    Err("is set beside the other one; keep sha256 or token_file".into())
                }
                "sha256" => {
                    let digest = text.parse().map_err(|_| "must be the digest that `heirloom serve token` prints");
                    source = Some(TokenSource::Digest(digest?));
                    Ok(())
                }
                "token_file" => {
                    source = Some(TokenSource::File(self.layer_path(text)));
                    Ok(())
                }
                other => {
                    let known = ["role", "sha256", "token_file"];
                    Err(unknown("is not a setting of a token", other, known.into_iter(), |_| false))
                }
            });
            if let Err(message) = taken {
                is_sound = false;
                self.problem(value.span(), format!("{key}.{}", shown(inner_name)), message);
            }
        }
        match (role, source) {
            (Some(role), Some(source)) if is_sound => self.push_token(ServerToken { name, role, source }),
            (None, _) if is_sound => self.problem(span.span(), key, "names no role: \"viewer\" or \"admin\"".into()),
            (_, None) if is_sound => self.problem(span.span(), key, "has neither sha256 nor token_file".into()),
            _ => {}
        }
    }
}
