//! The programs: each module is one, and all of them give their view one name.

/// The program that the others are changes of.
pub(crate) mod first {
    use highwater::prelude::*;

    #[derive(Event)]
    #[event(prefix = "person")]
    pub(crate) enum PersonEvent {
        Moved { city: String },
    }

    #[derive(Aggregate, Default, Clone)]
    #[aggregate(event = PersonEvent, category = "person")]
    pub(crate) struct Person;

    impl Person {
        fn apply(&mut self, _: &PersonEvent) {}
    }

    #[derive(Command)]
    pub(crate) struct Move(pub(crate) &'static str);

    impl Decide<Move> for Person {
        fn decide(&self, to: &Move, _: &Context) -> Decision<PersonEvent> {
            Ok(vec![PersonEvent::Moved { city: to.0.to_owned() }])
        }
    }

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person)]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
        }
    }
}

/// The row has another field.
pub(crate) mod with_field {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person)]
    pub(crate) struct Address {
        pub(crate) city: String,
        pub(crate) moves: u32,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
            self.moves += 1;
        }
    }
}

/// The fold refuses a city.
pub(crate) mod picky {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person)]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) -> Result<(), String> {
            let PersonEvent::Moved { city } = event;
            if city == "Nowhere" {
                return Err("there is no such city".to_owned());
            }
            self.city.clone_from(city);
            Ok(())
        }
    }
}

/// The row is the same, and folded in another way.
pub(crate) mod with_version {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person, version = 2)]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city = city.to_uppercase();
        }
    }
}

/// The row is the same, and has a column and an index.
pub(crate) mod with_column {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person, index(city))]
    pub(crate) struct Address {
        #[view(column)]
        pub(crate) city: String,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
        }
    }
}

/// The row is folded from another type of event, too.
pub(crate) mod with_type {
    use highwater::prelude::*;

    #[derive(Event)]
    #[event(prefix = "person")]
    pub(crate) enum PersonEvent {
        Moved { city: String },
        Left,
    }

    #[derive(Aggregate, Default, Clone)]
    #[aggregate(event = PersonEvent, category = "person")]
    pub(crate) struct Person;

    impl Person {
        fn apply(&mut self, _: &PersonEvent) {}
    }

    #[derive(Command)]
    pub(crate) struct Move(pub(crate) &'static str);

    impl Decide<Move> for Person {
        fn decide(&self, to: &Move, _: &Context) -> Decision<PersonEvent> {
            Ok(vec![PersonEvent::Moved { city: to.0.to_owned() }])
        }
    }

    #[derive(Command)]
    pub(crate) struct Leave;

    impl Decide<Leave> for Person {
        fn decide(&self, _: &Leave, _: &Context) -> Decision<PersonEvent> {
            Ok(vec![PersonEvent::Left])
        }
    }

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person)]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            match event {
                PersonEvent::Moved { city } => self.city.clone_from(city),
                PersonEvent::Left => self.city.clear(),
            }
        }
    }
}

/// The row is of a city instead of a person.
pub(crate) mod by_city {
    use super::first::PersonEvent;
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses")]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl Address {
        fn key(event: &PersonEvent, _: &Envelope) -> String {
            let PersonEvent::Moved { city } = event;
            city.clone()
        }

        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
        }
    }
}

/// The view has another name.
pub(crate) mod renamed {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "homes", formerly("addresses"), by_stream = Person)]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
        }
    }
}

/// The view has another name, and its row another field.
pub(crate) mod renamed_with_field {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "homes", formerly("addresses"), by_stream = Person)]
    pub(crate) struct Address {
        pub(crate) city: String,
        pub(crate) moves: u32,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
            self.moves += 1;
        }
    }
}

/// The field of the column has another type.
pub(crate) mod with_number {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person)]
    pub(crate) struct Address {
        #[view(column)]
        pub(crate) city: i64,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city = i64::try_from(city.len()).unwrap();
        }
    }
}

/// The view is written by hand, and names no fields.
pub(crate) mod by_hand {
    use super::first::PersonEvent;
    use highwater::{
        domain::{EventContext, FoldResult, KeyedBy, Keys, RowChange},
        prelude::*,
    };
    use serde::{Deserialize, Serialize};

    #[derive(Default, Clone, Debug, Serialize, Deserialize)]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl View for Address {
        type Event = PersonEvent;
        const NAME: &'static str = "addresses";
        const KEYED_BY: KeyedBy = KeyedBy::Stream("person");

        fn keys(_: &PersonEvent, envelope: &Envelope, keys: &mut Keys) {
            keys.push(envelope.stream.key());
        }

        fn fold(&mut self, event: &PersonEvent, _: &EventContext<'_>) -> FoldResult {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
            Ok(RowChange::Keep)
        }
    }
}
