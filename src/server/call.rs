//! What a Socket.IO client asks of the application.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// What a client asks of the application.
#[derive(Debug)]
pub enum Call<'a> {
    /// To come into a namespace, in which it is not.
    Connect {
        /// Which.
        namespace: &'static str,
        /// What it says of itself: a JSON object.
        auth: Option<&'a RawValue>,
    },
    /// Something in a namespace in which it is.
    Event(Event<'a>),
    /// Nothing: it has left a namespace.
    Disconnect,
}

/// An event of a client.
#[derive(Debug)]
pub struct Event<'a> {
    /// The namespace.
    pub namespace: &'static str,
    /// The id of the answer that it asks for.
    pub id: Option<u64>,
    /// Its name, if that is one.
    pub name: Option<Cow<'a, str>>,
    /// What stands behind the name.
    pub args: Vec<&'a RawValue>,
    /// Its binary messages.
    pub attachments: &'a [Vec<u8>],
    /// Bytes of all of it.
    pub bytes: usize,
}
