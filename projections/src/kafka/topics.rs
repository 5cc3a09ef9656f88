//! Maps events to topics, and views to the topics that feed them.

use std::borrow::Cow;

use highwater_core::{Category, Code, Query, Result, StreamId, error::Invalid};

/// The topics that events are published to.
#[derive(Debug, Clone)]
pub struct Topics(TopicNaming);

#[derive(Debug, Clone)]
enum TopicNaming {
    One(String),
    PerCategory { prefix: String, categories: Vec<Category> },
}

impl Topics {
    /// Publishes all events to one topic.
    pub fn one(name: impl Into<String>) -> Self {
        Self(TopicNaming::One(name.into()))
    }

    /// Publishes each category to a separate topic: this prefix, and the name of the category.
    pub fn per_category(prefix: impl Into<String>) -> Self {
        Self(TopicNaming::PerCategory { prefix: prefix.into(), categories: Vec::new() })
    }

    /// Names categories: the relay creates their topics before there is an event, and views whose query
    /// names no category are fed from them. Has no effect on [`Topics::one`].
    #[must_use]
    pub fn categories(mut self, named: impl IntoIterator<Item = Category>) -> Self {
        if let TopicNaming::PerCategory { categories, .. } = &mut self.0 {
            categories.extend(named);
        }
        self
    }

    /// Checks that Kafka accepts the names of the topics.
    pub(super) fn validate(&self) -> Result<()> {
        let (name, max_length) = match &self.0 {
            TopicNaming::One(name) => (name, 249),
            TopicNaming::PerCategory { prefix, .. } => (prefix, 200),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let empty = matches!(self.0, TopicNaming::One(_)) && name.is_empty();
        if empty || name.len() > max_length || !name.chars().all(allowed) {
            let message =
                format!("{name:?} is not a valid topic name: use a-z, A-Z, 0-9, '.', '_', '-'");
            return Err(Invalid::new(Code::BAD_TOPIC, message).into());
        }
        Ok(())
    }

    /// Returns the topic of a stream.
    pub(super) fn of(&self, stream: &StreamId) -> Cow<'_, str> {
        match &self.0 {
            TopicNaming::One(name) => Cow::Borrowed(name),
            TopicNaming::PerCategory { prefix, .. } => {
                Cow::Owned(format!("{prefix}{}", stream.category()))
            }
        }
    }

    /// Returns the topics that exist before there are events.
    pub(super) fn named(&self) -> Vec<String> {
        match &self.0 {
            TopicNaming::One(name) => vec![name.clone()],
            TopicNaming::PerCategory { prefix, categories } => topics_of(prefix, categories.iter()),
        }
    }

    /// Returns the topics that hold the events of a query.
    pub(super) fn feeding(&self, query: &Query) -> Result<Vec<String>> {
        let TopicNaming::PerCategory { prefix, .. } = &self.0 else { return Ok(self.named()) };
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
