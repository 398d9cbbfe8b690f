//! Reports for people.

pub mod terminal;
