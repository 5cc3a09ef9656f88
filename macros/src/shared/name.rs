//! Stored names: derived from Rust names, and validated.

use proc_macro2::{Ident, Span};
use syn::{LitStr, ext::IdentExt};

/// A name and the place in the user's code that it comes from.
#[derive(Clone)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) place: Span,
}

impl Name {
    pub(crate) fn written(literal: &LitStr) -> Self {
        Self { text: literal.value(), place: literal.span() }
    }

    /// Returns the name of a field, unchanged.
    pub(crate) fn from_field(ident: &Ident) -> Self {
        Self { text: ident.unraw().to_string(), place: ident.span() }
    }

    /// Returns a Rust name in `snake_case`.
    pub(crate) fn from_ident(ident: &Ident) -> Self {
        Self { text: snake_case(&ident.unraw().to_string()), place: ident.span() }
    }

    /// Returns an error unless the name consists of ASCII letters, digits and `others`.
    pub(crate) fn fault(&self, what: &str, others: &str) -> Option<syn::Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
        let wrong = match self.text.chars().find(|c| !allowed(*c)) {
            Some(wrong) => format!("contains {wrong:?}"),
            None if self.text.is_empty() => "is empty".to_owned(),
            None => return None,
        };
        let others = others.chars().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ");
        let right = format!("use ASCII letters, digits, {others}");
        Some(syn::Error::new(self.place, format!("the {what} `{}` {wrong}: {right}", self.text)))
    }

    /// Returns an error unless the name works in SQL without quotes.
    pub(crate) fn identifier_fault(&self, what: &str) -> Option<syn::Error> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let wrong = match self.text.chars().find(|c| !allowed(*c)) {
            Some(wrong) => format!("contains {wrong:?}"),
            None if self.text.is_empty() => "is empty".to_owned(),
            None if !self.text.starts_with(|c: char| c.is_ascii_lowercase()) => {
                "doesn't begin with a letter".to_owned()
            }
            None if self.text.len() > 40 => "is too long".to_owned(),
            None => return None,
        };
        let right = "use at most 40 of a-z, 0-9 and `_`, with a letter first";
        Some(syn::Error::new(self.place, format!("the {what} `{}` {wrong}: {right}", self.text)))
    }
}

/// `MoneyDeposited` is `money_deposited`, `HTTPCalled` is `http_called`, `V2Opened` is `v2_opened`:
/// a word begins at a capital after a small letter or a digit, and at the last capital of several.
fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (index, c) in chars.iter().enumerate() {
        if c.is_uppercase() && begins_word(&chars, index) {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

fn begins_word(chars: &[char], index: usize) -> bool {
    let Some(before) = index.checked_sub(1).map(|before| chars[before]) else { return false };
    let next_is_small = chars.get(index + 1).is_some_and(|c| c.is_lowercase());
    before != '_' && (!before.is_uppercase() || next_is_small)
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn names_are_split_into_words() {
        for (name, snake) in [
            ("Opened", "opened"),
            ("MoneyDeposited", "money_deposited"),
            ("HTTPCalled", "http_called"),
            ("CalledHTTP", "called_http"),
            ("V2Opened", "v2_opened"),
            ("Already_Snake", "already_snake"),
            ("A", "a"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
    }
}
