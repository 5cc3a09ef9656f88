//! Upcasting: the conversion of old payloads to their current meaning.

/// A payload of an earlier schema version that can be turned into the next one.
///
/// `#[event(version = 3, upcast(OpenedV1, OpenedV2))]` on a variant names the payload types of the
/// versions before the current one, oldest first. Each turns into the next, and the last into the
/// event itself, so a chain of n steps parses the stored bytes once. A step may give no value (the
/// event means nothing today), one, or several.
///
/// ```
/// use highwater_core::Upcast;
///
/// struct PriceV1 { euros: u64 }
/// struct PriceV2 { cents: u64 }
///
/// impl Upcast for PriceV1 {
///     type Next = PriceV2;
///
///     fn upcast(self) -> Vec<PriceV2> {
///         vec![PriceV2 { cents: self.euros * 100 }]
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be upcast to the next schema version",
    label = "implement `Upcast` for this old payload",
    note = "the last old payload's `Next` is the event enum itself"
)]
pub trait Upcast {
    /// The payload of the next schema version, or the event itself.
    type Next;

    /// Returns the meaning of this old value one version later.
    fn upcast(self) -> Vec<Self::Next>;
}
