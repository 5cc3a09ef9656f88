//! Which topic an event goes to, and which topics a view is fed from.

use std::borrow::Cow;

use highwater_core::{Category, Code, Query, Result, StreamId, error::Invalid};

/// Which topic an event goes to.
#[derive(Debug, Clone)]
pub struct Topics(Choice);

#[derive(Debug, Clone)]
enum Choice {
    One(String),
    PerCategory { prefix: String, categories: Vec<Category> },
}

impl Topics {
    /// All the events in one topic.
    pub fn one(name: impl Into<String>) -> Self {
        Self(Choice::One(name.into()))
    }

    /// A topic for each category: its name after this prefix.
    pub fn per_category(prefix: impl Into<String>) -> Self {
        Self(Choice::PerCategory { prefix: prefix.into(), categories: Vec::new() })
    }

    /// Names categories: their topics are made before there is an event, and views whose query names
    /// no category are fed from them. Without effect on [`Topics::one`].
    #[must_use]
    pub fn categories(mut self, named: impl IntoIterator<Item = Category>) -> Self {
        if let Choice::PerCategory { categories, .. } = &mut self.0 {
            categories.extend(named);
        }
        self
    }

    /// Checks that they can be names of topics.
    pub(super) fn validate(&self) -> Result<()> {
        let (name, at_most) = match &self.0 {
            Choice::One(name) => (name, 249),
            Choice::PerCategory { prefix, .. } => (prefix, 200),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let empty = matches!(self.0, Choice::One(_)) && name.is_empty();
        if empty || name.len() > at_most || !name.chars().all(allowed) {
            let message =
                format!("{name:?} is no name of a topic: use a-z, A-Z, 0-9, '.', '_', '-'");
            return Err(Invalid::new(Code::BAD_TOPIC, message).into());
        }
        Ok(())
    }

    /// The topic of a stream.
    pub(super) fn of(&self, stream: &StreamId) -> Cow<'_, str> {
        match &self.0 {
            Choice::One(name) => Cow::Borrowed(name),
            Choice::PerCategory { prefix, .. } => {
                Cow::Owned(format!("{prefix}{}", stream.category()))
            }
        }
    }

    /// The topics that are there whatever the events.
    pub(super) fn named(&self) -> Vec<String> {
        match &self.0 {
            Choice::One(name) => vec![name.clone()],
            Choice::PerCategory { prefix, categories } => topics_of(prefix, categories.iter()),
        }
    }

    /// The topics that hold the events of a query.
    pub(super) fn feeding(&self, query: &Query) -> Result<Vec<String>> {
        let Choice::PerCategory { prefix, .. } = &self.0 else { return Ok(self.named()) };
        let names_categories = |item: &highwater_core::QueryItem| !item.categories.is_empty();
        let named = match !query.items.is_empty() && query.items.iter().all(names_categories) {
            true => topics_of(prefix, query.items.iter().flat_map(|item| &item.categories)),
            false => self.named(),
        };
        if named.is_empty() {
            let message = "topics are by category, and neither the view nor Topics::categories names \
                           any: name them";
            return Err(Invalid::configuration(message).into());
        }
        Ok(named)
    }
}

fn topics_of<'a>(prefix: &str, categories: impl Iterator<Item = &'a Category>) -> Vec<String> {
    let mut topics: Vec<_> = categories.map(|category| format!("{prefix}{category}")).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(name: &str) -> Category {
        Category::new(name).unwrap()
    }

    #[test]
    fn an_event_goes_to_the_topic_of_its_category() {
        let stream = StreamId::parse("account-alice").unwrap();
        assert_eq!(Topics::one("bank").of(&stream), "bank");
        assert_eq!(Topics::per_category("bank.").of(&stream), "bank.account");
    }

    #[test]
    fn a_view_is_fed_from_the_topics_of_its_categories() {
        let topics =
            Topics::per_category("bank.").categories([category("account"), category("order")]);
        let accounts = Query::category(category("account"));
        let both = accounts.clone().or(Query::category(category("audit")));
        assert_eq!(topics.feeding(&accounts).unwrap(), ["bank.account"]);
        assert_eq!(topics.feeding(&both).unwrap(), ["bank.account", "bank.audit"]);
        assert_eq!(topics.feeding(&Query::all()).unwrap(), ["bank.account", "bank.order"]);
        assert_eq!(Topics::one("bank").feeding(&both).unwrap(), ["bank"]);
        assert!(Topics::per_category("bank.").feeding(&Query::all()).unwrap_err().is_invalid());
    }

    #[test]
    fn a_name_that_kafka_would_refuse_is_refused_with_what_is_right() {
        assert!(Topics::one("").validate().is_err());
        assert!(Topics::one("a b").validate().is_err());
        assert!(Topics::per_category("").validate().is_ok());
        assert!(Topics::one("bank.Events-1_x").validate().is_ok());
    }
}
