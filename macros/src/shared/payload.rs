//! The private structs that serialise the fields of a type as JSON, so that the user's type derives nothing from
//! serde.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident};
use syn::{Attribute, Field, Fields, spanned::Spanned};

use super::Root;

/// The fields of a variant or a struct, and the names of the two generated structs: one borrows the fields for
/// writing, one owns them after reading.
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

    /// Returns the name of the struct for reading.
    pub(crate) fn owned(&self) -> Ident {
        format_ident!("__{}Payload", self.stem, span = Span::mixed_site())
    }

    /// Returns the name of the struct for writing.
    pub(crate) fn borrowed(&self) -> Ident {
        format_ident!("__{}Ref", self.stem, span = Span::mixed_site())
    }

    /// Writes both structs.
    pub(crate) fn items(&self) -> TokenStream {
        let owned = self.owned_item();
        let borrowed = self.borrowed_item();
        hygienic!(#owned #borrowed)
    }

    /// Writes `{ owner, cents }` or `(field0)`: the pattern and the constructor of the user's type and of the generated
    /// structs. `{}` also works for a unit struct.
    pub(crate) fn body(&self) -> TokenStream {
        let bindings = self.bindings();
        match self.fields {
            Fields::Unnamed(_) => hygienic!((#(#bindings),*)),
            _ => hygienic!({ #(#bindings),* }),
        }
    }

    /// Writes the expression that serialises the fields bound by [`Payload::body`] to `out`.
    pub(crate) fn write(&self) -> TokenStream {
        let root = self.root;
        let name = self.borrowed();
        let body = self.body();
        hygienic!(#root::write(out, &#name #body))
    }

    /// Writes the expression that serialises the fields to `out` for a comparison alone.
    pub(crate) fn write_to_compare(&self) -> TokenStream {
        let root = self.root;
        let name = self.borrowed();
        let body = self.body();
        hygienic!(#root::write_to_compare(out, &#name #body))
    }

    /// Returns a text that is another one as soon as a field, its type or its serialisation is. It has no spaces, since
    /// compilers differ in where they put them.
    pub(crate) fn shape(&self) -> String {
        let fields = self.typed(|field| field.ty.to_token_stream());
        let attrs = serde_attrs(self.attrs);
        let tokens = hygienic!(#(#attrs)* #fields);
        tokens.to_string().split_whitespace().collect()
    }

    /// Returns the variable that each field is bound to.
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

    /// Writes the struct that borrows its fields; it suffices for values that are never read back.
    pub(crate) fn borrowed_item(&self) -> TokenStream {
        let fields = self.typed(|field| {
            let ty = &field.ty;
            hygienic_at!(ty.span()=> &'a #ty)
        });
        let name = self.borrowed();
        let lifetime = self.lifetime();
        self.item("Serialize", &hygienic!(#name #lifetime), &fields)
    }

    fn lifetime(&self) -> Option<TokenStream> {
        let borrows = !self.fields.is_empty();
        borrows.then(|| hygienic!(<'a>))
    }

    fn item(&self, derive: &str, name: &impl ToTokens, fields: &TokenStream) -> TokenStream {
        let root = self.root;
        let serde = self.root.serde();
        let attrs = serde_attrs(self.attrs);
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
            let attrs = serde_attrs(&field.attrs);
            let name = field.ident.iter();
            let ty = ty(field);
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
