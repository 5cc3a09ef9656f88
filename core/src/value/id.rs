//! Identifiers of events and commands.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_newtype {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_newtype! {
    /// Identifies one event for ever: a UUIDv7, so ids sort by the time they were created.
    EventId
}

uuid_newtype! {
    /// Identifies one intent to change something. Sending the same command again with the same id
    /// changes nothing and returns the first receipt (W4).
    CommandId
}

uuid_newtype! {
    /// Ties together everything that follows from one request, over commands and sagas.
    CorrelationId
}

/// The namespace of derived command ids, itself a fixed random UUID.
const COMMAND_NAMESPACE: Uuid = Uuid::from_u128(0x6c1a_2f9e_5d0b_4b7a_9e43_0a6d_8f21_c7b5);

impl CommandId {
    /// Derives the id from a name: the same parts always give the same id.
    ///
    /// Use it where the request already has a natural key (an HTTP `Idempotency-Key`, the id of a
    /// causing event and a step, a commit hash and a path). Parts are separated unambiguously:
    /// `["ab", "c"]` and `["a", "bc"]` give different ids.
    ///
    /// ```
    /// use highwater_core::CommandId;
    ///
    /// assert_eq!(CommandId::derive(["order-7", "pay"]), CommandId::derive(["order-7", "pay"]));
    /// assert_ne!(CommandId::derive(["ab", "c"]), CommandId::derive(["a", "bc"]));
    /// ```
    pub fn derive<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        let mut name = Vec::with_capacity(64);
        for part in parts {
            let part = part.as_ref();
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part);
        }
        Self(Uuid::new_v5(&COMMAND_NAMESPACE, &name))
    }
}

impl From<CommandId> for CorrelationId {
    /// A command that nothing caused starts a new correlation.
    fn from(command: CommandId) -> Self {
        Self(command.0)
    }
}
