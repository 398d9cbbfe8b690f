//! Replies of a child, and the nonces that tie them to requests.

use std::fs::File;
use std::io::{self, Read};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Longest reply in bytes; a child that sends more is broken.
const LONGEST_REPLY: usize = 16 << 20;

/// What a child answers to a request it understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It did what was asked; the value is the reply's `ok`.
    Done(Value),
    /// It could not, and says why.
    Refused(Refusal),
}

impl Reply {
    /// The value, or the refusal as an error.
    ///
    /// # Errors
    /// When the child refused.
    pub fn done(self) -> Result<Value, Refusal> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Refused(refusal) => Err(refusal),
        }
    }
}

/// A child's own account of why it could not do what was asked: the reply's `error`.
#[derive(Debug, Clone, PartialEq, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Stable kebab-case name of the cause.
    pub kind: String,
    /// One sentence for people.
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
    /// Whatever else the child sent with it, such as a file and a line.
    #[serde(flatten)]
    pub details: Box<serde_json::Map<String, Value>>,
}

#[derive(Deserialize)]
struct Envelope {
    nonce: String,
    /// A null is an answer too, unlike a missing `ok`.
    #[serde(default, deserialize_with = "present")]
    ok: Option<Value>,
    error: Option<Refusal>,
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

/// Reads one reply line; the error says how it breaks the protocol.
pub(super) fn parse(line: &[u8], nonce: &str) -> Result<Reply, String> {
    let envelope: Envelope = serde_json::from_slice(line).map_err(|error| format!("not a reply: {error}"))?;
    if envelope.nonce != nonce {
        return Err("a reply to another request".into());
    }
    match (envelope.ok, envelope.error) {
        (None, Some(refusal)) => Ok(Reply::Refused(refusal)),
        (Some(value), None) => Ok(Reply::Done(value)),
        _ => Err("a reply needs either `ok` or `error`".into()),
    }
}

/// Bytes on the reply channel until they make a line.
#[derive(Debug, Default)]
pub(super) struct Inbox(Vec<u8>);

impl Inbox {
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.0.len() + bytes.len() > LONGEST_REPLY {
            return Err(format!("a reply longer than {LONGEST_REPLY} bytes"));
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// The line that has arrived, if any. A child answers one request at a time, so anything after
    /// the line is not a reply.
    pub(super) fn take_line(&mut self) -> Option<Result<Vec<u8>, String>> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let mut line = std::mem::take(&mut self.0);
        match line.len() == end + 1 {
            true => {
                line.truncate(end);
                Some(Ok(line))
            }
            false => Some(Err("more than one reply to a request".into())),
        }
    }
}

/// Source of unguessable nonces.
#[derive(Debug)]
pub(super) struct Nonces(File);

impl Nonces {
    pub(super) fn new() -> io::Result<Self> {
        File::open("/dev/urandom").map(Self)
    }

    /// 128 random bits in hexadecimal.
    pub(super) fn next(&mut self) -> io::Result<String> {
        let mut bytes = [0; 16];
        self.0.read_exact(&mut bytes)?;
        Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_taken_only_for_its_own_request() {
        assert_eq!(parse(br#"{"nonce":"a","ok":3}"#, "a"), Ok(Reply::Done(3.into())));
        assert!(parse(br#"{"nonce":"a","ok":3}"#, "b").is_err());
        assert_eq!(parse(br#"{"nonce":"a","ok":null}"#, "a"), Ok(Reply::Done(Value::Null)));
        assert!(parse(br#"{"nonce":"a"}"#, "a").is_err());
        assert!(parse(b"hello", "a").is_err());
    }

    #[test]
    fn a_refusal_keeps_its_details() {
        let line = br#"{"nonce":"a","error":{"kind":"threw","message":"m","file":"r.py","line":3}}"#;
        let refusal = parse(line, "a").unwrap().done().unwrap_err();
        assert_eq!((refusal.kind.as_str(), refusal.hint), ("threw", None));
        assert_eq!(refusal.details["line"], 3);
    }

    #[test]
    fn a_second_line_is_a_broken_protocol() {
        let mut inbox = Inbox::default();
        inbox.add(b"{\"a\":1").unwrap();
        assert!(inbox.take_line().is_none());
        inbox.add(b"}\n").unwrap();
        assert_eq!(inbox.take_line(), Some(Ok(b"{\"a\":1}".to_vec())));
        inbox.add(b"1\n2\n").unwrap();
        assert!(inbox.take_line().unwrap().is_err());
    }
}
