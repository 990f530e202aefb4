//! A response body as nested members, whether it is JSON or CBOR.
//!
//! ```text
//!   json::Scanner ──┐
//!                   ├── trait Members ── one walk per call: get_records/answer.rs, put_records/answer.rs
//!   cbor::Scanner ──┘
//! ```
//!
//! A new member of a response is read in one place. The walk is generic and inlined: no dynamic dispatch.

use std::borrow::Cow;

use crate::{
    cbor,
    json::{self, Malformed},
};

/// A scanner of a body. Open an object or array, ask for its next member or element until there is none, and read
/// one value for each.
pub(super) trait Members<'a>: Sized {
    /// The state of an open object or array: its remaining members or elements.
    type Items;
    /// A text, decoded as late as possible.
    type Text: MemberText<'a>;

    fn open_object(&mut self) -> Result<Self::Items, Malformed>;

    /// Returns the name of the next member, whose value is next; `None` at the end of the object.
    fn next_member(
        &mut self,
        members: &mut Self::Items,
    ) -> Result<Option<Cow<'a, [u8]>>, Malformed>;

    fn open_array(&mut self) -> Result<Self::Items, Malformed>;

    /// Moves to the next element. Returns whether there is one.
    fn next_element(&mut self, elements: &mut Self::Items) -> Result<bool, Malformed>;

    /// Skips a `null`, if it is next.
    fn null(&mut self) -> Result<bool, Malformed>;

    fn text(&mut self) -> Result<Self::Text, Malformed>;

    /// Returns the bytes of a text that the caller checks itself. UTF-8 need not be checked here.
    fn unchecked_text(&mut self) -> Result<Cow<'a, [u8]>, Malformed>;

    fn skip(&mut self) -> Result<(), Malformed>;

    /// Checks that nothing follows the body.
    fn end(&mut self) -> Result<(), Malformed>;
}

/// A text of a body.
pub(super) trait MemberText<'a> {
    fn as_bytes(&self) -> Cow<'_, [u8]>;

    fn into_str(self) -> Cow<'a, str>;
}

impl<'a> Members<'a> for json::Scanner<'a> {
    type Items = ();
    type Text = json::Text<'a>;

    #[inline]
    fn open_object(&mut self) -> Result<(), Malformed> {
        Self::open_object(self)
    }

    #[inline]
    fn next_member(&mut self, (): &mut ()) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
        Ok(self.next_key()?.map(|key| key.as_bytes()))
    }

    #[inline]
    fn open_array(&mut self) -> Result<(), Malformed> {
        Self::open_array(self)
    }

    #[inline]
    fn next_element(&mut self, (): &mut ()) -> Result<bool, Malformed> {
        Self::next_element(self)
    }

    #[inline]
    fn null(&mut self) -> Result<bool, Malformed> {
        Self::null(self)
    }

    #[inline]
    fn text(&mut self) -> Result<json::Text<'a>, Malformed> {
        self.string()
    }

    #[inline]
    fn unchecked_text(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        Ok(self.string()?.as_bytes())
    }

    fn skip(&mut self) -> Result<(), Malformed> {
        Self::skip(self)
    }

    fn end(&mut self) -> Result<(), Malformed> {
        Self::end(self)
    }
}

impl<'a> MemberText<'a> for json::Text<'a> {
    #[inline]
    fn as_bytes(&self) -> Cow<'_, [u8]> {
        Self::as_bytes(self)
    }

    #[inline]
    fn into_str(self) -> Cow<'a, str> {
        self.to_str()
    }
}

impl<'a> Members<'a> for cbor::Scanner<'a> {
    type Items = cbor::Items;
    type Text = Cow<'a, str>;

    #[inline]
    fn open_object(&mut self) -> Result<cbor::Items, Malformed> {
        self.open_map()
    }

    #[inline]
    fn next_member(
        &mut self,
        members: &mut cbor::Items,
    ) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
        self.next_key(members)
    }

    #[inline]
    fn open_array(&mut self) -> Result<cbor::Items, Malformed> {
        Self::open_array(self)
    }

    #[inline]
    fn next_element(&mut self, elements: &mut cbor::Items) -> Result<bool, Malformed> {
        self.has_next(elements)
    }

    #[inline]
    fn null(&mut self) -> Result<bool, Malformed> {
        Self::null(self)
    }

    #[inline]
    fn text(&mut self) -> Result<Cow<'a, str>, Malformed> {
        Self::text(self)
    }

    #[inline]
    fn unchecked_text(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        Self::unchecked_text(self)
    }

    fn skip(&mut self) -> Result<(), Malformed> {
        Self::skip(self)
    }

    fn end(&mut self) -> Result<(), Malformed> {
        Self::end(self)
    }
}

impl<'a> MemberText<'a> for Cow<'a, str> {
    #[inline]
    fn as_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(str::as_bytes(self))
    }

    #[inline]
    fn into_str(self) -> Cow<'a, str> {
        self
    }
}
