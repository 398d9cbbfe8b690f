//! A TOML document read with places: every value knows where it stands, so every complaint does too.
use super::error::{Flaw, PlacedFlaw};
use crate::near;
use miette::NamedSource;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A complaint with its place.
pub(super) type Flawed<T> = Result<T, Box<PlacedFlaw>>;

/// The text that places refer to.
#[derive(Clone, Copy)]
pub(super) struct Document<'t> {
    pub(super) path: &'t Path,
    pub(super) text: &'t str,
}

impl<'t> Document<'t> {
    pub(super) fn parse(self) -> Flawed<Spanned<DeTable<'t>>> {
        DeTable::parse(self.text).map_err(|error| {
            let flaw = Flaw::Syntax(error.message().to_owned());
            self.complain(flaw, error.span().unwrap_or(0..0), None)
        })
    }

    pub(super) fn complain(self, flaw: Flaw, span: Range<usize>, help: Option<String>) -> Box<PlacedFlaw> {
        // A table's span is its header or its braces; where it has neither, the start of the file stands for it.
        let span = if span.end > self.text.len() { 0..0 } else { span };
        let source_text = NamedSource::new(self.path.display().to_string(), self.text.to_owned());
        Box::new(PlacedFlaw { flaw, source_text: source_text.with_language("toml"), span, help })
    }
}

/// A table whose keys are known.
pub(super) struct Table<'t> {
    pub(super) document: Document<'t>,
    what: String,
    entries: &'t DeTable<'t>,
    pub(super) span: Range<usize>,
}

impl<'t> Table<'t> {
    /// Refuses keys other than `keys`.
    pub(super) fn new(
        document: Document<'t>,
        what: impl Into<String>,
        table: (&'t DeTable<'t>, Range<usize>),
        keys: &[&'static str],
    ) -> Flawed<Self> {
        let (entries, span) = table;
        let what = what.into();
        if let Some(stranger) = entries.keys().find(|key| !keys.contains(&key.get_ref().as_ref())) {
            let key = stranger.get_ref().to_string();
            let help = near::hint(&key, keys.iter().copied());
            return Err(document.complain(
                Flaw::UnknownKey { key, within: what },
                stranger.span(),
                Some(help),
            ));
        }
        Ok(Table { document, what, entries, span })
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Field<'t>> {
        let value = self.entries.get(key)?;
        Some(Field { document: self.document, what: format!("`{key}` of {}", self.what), value })
    }

    pub(super) fn require(&self, key: &'static str, help: &str) -> Flawed<Field<'t>> {
        self.get(key).ok_or_else(|| {
            let flaw = Flaw::MissingKey { key: key.to_owned(), within: self.what.clone() };
            self.document.complain(flaw, self.span.clone(), Some(help.to_owned()))
        })
    }
}

/// A value with its place and a name for it in complaints.
#[derive(Clone)]
pub(super) struct Field<'t> {
    document: Document<'t>,
    what: String,
    pub(super) value: &'t Spanned<DeValue<'t>>,
}

impl<'t> Field<'t> {
    pub(super) fn complain(&self, flaw: Flaw, help: Option<String>) -> Box<PlacedFlaw> {
        self.document.complain(flaw, self.value.span(), help)
    }

    pub(super) fn bad_value(&self, reason: impl Into<String>) -> Box<PlacedFlaw> {
        self.complain(Flaw::BadValue { what: self.what.clone(), reason: reason.into() }, None)
    }

    pub(super) fn wrong_type(&self, expected: &'static str) -> Box<PlacedFlaw> {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.complain(Flaw::WrongType { what: self.what.clone(), expected, found }, None)
    }

    pub(super) fn as_str(&self) -> Option<&'t str> {
        self.value.get_ref().as_str()
    }

    pub(super) fn string(&self) -> Flawed<&'t str> {
        self.as_str().ok_or_else(|| self.wrong_type("a string"))
    }

    /// A whole number that is not negative.
    pub(super) fn size(&self) -> Flawed<u64> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            return Err(self.wrong_type("a whole number"));
        };
        u64::from_str_radix(integer.as_str(), integer.radix())
            .map_err(|_| self.bad_value("a size is a whole number, and not negative"))
    }

    pub(super) fn number(&self) -> Flawed<f64> {
        let number = match self.value.get_ref() {
            DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).ok().map(|i| i as f64),
            DeValue::Float(f) => f.as_str().parse().ok(),
            _ => return Err(self.wrong_type("a number")),
        };
        number.filter(|n: &f64| n.is_finite()).ok_or_else(|| self.bad_value("not a finite number"))
    }

    pub(super) fn array(&self) -> Flawed<Vec<Field<'t>>> {
        let DeValue::Array(items) = self.value.get_ref() else { return Err(self.wrong_type("an array")) };
        let item =
            |value| Field { document: self.document, what: format!("an item of {}", self.what), value };
        Ok(items.iter().map(item).collect())
    }

    pub(super) fn table(&self, what: impl Into<String>, keys: &[&'static str]) -> Flawed<Table<'t>> {
        let DeValue::Table(entries) = self.value.get_ref() else { return Err(self.wrong_type("a table")) };
        Table::new(self.document, what, (entries, self.value.span()), keys)
    }

    /// The entries of a table whose keys are the user's names, in the order of the file.
    pub(super) fn named(&self, noun: &str) -> Flawed<Vec<Named<'t>>> {
        let DeValue::Table(entries) = self.value.get_ref() else { return Err(self.wrong_type("a table")) };
        let entry = |(key, value): (&'t Spanned<_>, _)| {
            let name: &std::borrow::Cow<'t, str> = key.get_ref();
            Named {
                name: name.to_string(),
                span: key.span(),
                field: Field { document: self.document, what: format!("{noun} `{name}`"), value },
            }
        };
        Ok(entries.iter().map(entry).collect())
    }
}

/// An entry of a table whose keys are the user's names.
pub(super) struct Named<'t> {
    pub(super) name: String,
    pub(super) span: Range<usize>,
    pub(super) field: Field<'t>,
}
