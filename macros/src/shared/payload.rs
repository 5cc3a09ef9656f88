//! The private structs through which fields become JSON and come back, so that the user's own type
//! needs no serde.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident};
use syn::{Attribute, Field, Fields, spanned::Spanned};

use super::Root;

/// The fields of a variant or a struct, and the names of the two structs that are made for them:
/// one that borrows the fields to write them, one that owns them after reading.
pub(crate) struct Payload<'a> {
    root: &'a Root,
    stem: &'a Ident,
    attrs: &'a [Attribute],
    fields: &'a Fields,
}

impl<'a> Payload<'a> {
    pub(crate) fn new(
        root: &'a Root,
        stem: &'a Ident,
        attrs: &'a [Attribute],
        fields: &'a Fields,
    ) -> Self {
        Self { root, stem, attrs, fields }
    }

    /// The struct that is read into.
    pub(crate) fn owned(&self) -> Ident {
        format_ident!("__{}Payload", self.stem, span = Span::mixed_site())
    }

    /// The struct that is written from.
    pub(crate) fn borrowed(&self) -> Ident {
        format_ident!("__{}Ref", self.stem, span = Span::mixed_site())
    }

    /// Both structs.
    pub(crate) fn items(&self) -> TokenStream {
        let (owned, borrowed) = (self.owned_item(), self.borrowed_item());
        hygienic!(#owned #borrowed)
    }

    /// `{ owner, cents }` or `(field0)`: takes a value of the user's type or of one of these
    /// structs apart, and puts it together. `{}` does so for a unit, too.
    pub(crate) fn body(&self) -> TokenStream {
        let bindings = self.bindings();
        match self.fields {
            Fields::Unnamed(_) => hygienic!((#(#bindings),*)),
            _ => hygienic!({ #(#bindings),* }),
        }
    }

    /// The expression that writes the fields that [`Payload::body`] has bound to `out`.
    pub(crate) fn write(&self) -> TokenStream {
        let (root, name, body) = (self.root, self.borrowed(), self.body());
        hygienic!(#root::write(out, &#name #body))
    }

    /// The name that each field is bound to.
    pub(crate) fn bindings(&self) -> Vec<Ident> {
        let bind = |(index, field): (usize, &Field)| match &field.ident {
            Some(ident) => ident.clone(),
            None => format_ident!("field{index}", span = Span::mixed_site()),
        };
        self.fields.iter().enumerate().map(bind).collect()
    }

    fn owned_item(&self) -> TokenStream {
        let fields = self.typed(|field| field.ty.to_token_stream());
        self.item("Deserialize", &self.owned(), &fields)
    }

    /// The struct that borrows its fields; enough for what is never read back.
    pub(crate) fn borrowed_item(&self) -> TokenStream {
        let fields = self.typed(|field| {
            let ty = &field.ty;
            hygienic_at!(ty.span()=> &'a #ty)
        });
        let (name, lifetime) = (self.borrowed(), self.lifetime());
        self.item("Serialize", &hygienic!(#name #lifetime), &fields)
    }

    fn lifetime(&self) -> Option<TokenStream> {
        let borrows = !self.fields.is_empty();
        borrows.then(|| hygienic!(<'a>))
    }

    fn item(&self, derive: &str, name: &impl ToTokens, fields: &TokenStream) -> TokenStream {
        let (root, serde, attrs) = (self.root, self.root.serde(), serde_attrs(self.attrs));
        let derive = Ident::new(derive, Span::mixed_site());
        hygienic! {
            #[derive(#root::serde::#derive)]
            #[serde(crate = #serde)]
            #(#attrs)*
            struct #name #fields
        }
    }

    fn typed(&self, ty: impl Fn(&Field) -> TokenStream) -> TokenStream {
        let items = self.fields.iter().map(|field| {
            let (attrs, name, ty) = (serde_attrs(&field.attrs), field.ident.iter(), ty(field));
            hygienic!(#(#attrs)* #(#name:)* #ty)
        });
        match self.fields {
            Fields::Unnamed(_) => hygienic!((#(#items),*);),
            _ => hygienic!({ #(#items),* }),
        }
    }
}

fn serde_attrs(attrs: &[Attribute]) -> Vec<&Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("serde")).collect()
}
