//! A record file as Chrome's Trace Event Format (JSON), for `chrome://tracing`, Speedscope and whatever else reads it.
//!
//! Regions are complete events (`X`), samples counters (`C`), names metadata (`M`). Each record becomes text as it
//! comes, so memory is bounded. Times are in microseconds from the beginning of the recording, down to the nanosecond.

use crate::decode::{Consumer, Head, StreamError, stream};
use crate::sites::{ProbeSite, SiteTable};
use crate::tables::{AggregateRow, Clock, CountRow, Counter, Losses, Slice, Unit};
use crate::timescale::Timescale;
use serde_json::{Map, Value, json};
use std::io::{self, Read, Seek, Write};

/// The process of all events.
const PROCESS: u32 = 1;
/// Bytes collected before they are written.
const BUFFER: usize = 1 << 16;

/// Writes the record file `input`, which belongs to `sites`, to `output`. Answers what did not make it; the file says
/// so too, in `otherData`.
///
/// Each unit is an event from entry to exit, which carries its aggregates and counts. A region without an end is no
/// event.
///
/// # Errors
/// As [`stream`]; the consumer's error is the output's.
pub fn write(
    input: impl Read + Seek,
    sites: &SiteTable,
    output: impl Write,
) -> Result<Losses, StreamError<io::Error>> {
    let run = Clock::default();
    let mut writer = Writer {
        labels: sites.labels(),
        output,
        buffer: Vec::with_capacity(2 * BUFFER),
        events: sites.sites.iter().map(beginning).collect(),
        run,
        scale: Timescale::in_ticks(&run),
        unit: 0,
        totals: Map::new(),
    };
    stream(input, sites, &mut writer)
}

/// What all complete events of a site begin with.
fn beginning(site: &ProbeSite) -> String {
    let mut args = Map::new();
    args.insert("function".into(), site.function.as_str().into());
    if let Some(place) = &site.place {
        args.insert("source".into(), place.to_string().into());
    }
    let name = Value::from(site.name.as_str());
    let probe = Value::from(site.probe.as_str());
    let args = Value::from(args);
    format!(r#"{{"name":{name},"cat":{probe},"ph":"X","pid":{PROCESS},"args":{args},"tid":"#)
}

struct Writer<W> {
    /// By site: what no other is called.
    labels: Vec<String>,
    output: W,
    buffer: Vec<u8>,
    /// By site: its events up to the thread.
    events: Vec<String>,
    run: Clock,
    /// Clock of the unit at hand.
    scale: Timescale,
    /// The unit at hand.
    unit: u32,
    /// What its event will carry.
    totals: Map<String, Value>,
}

impl<W: Write> Consumer for Writer<W> {
    type Error = io::Error;

    fn begin_file(&mut self, head: &Head) -> io::Result<()> {
        self.run = head.clock;
        let process = json!({"name": "process_name", "ph": "M", "pid": PROCESS, "args": {"name": "kernel"}});
        write!(self.buffer, "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{process}")
    }

    fn begin_unit(&mut self, unit: &Unit) -> io::Result<()> {
        self.unit = unit.id;
        self.scale = Timescale::new(&unit.clock, &self.run).unwrap_or_else(|| Timescale::in_ticks(&self.run));
        let name = format!("unit {} (core {})", unit.id, unit.core);
        let thread =
            json!({"name": "thread_name", "ph": "M", "pid": PROCESS, "tid": unit.id, "args": {"name": name}});
        self.event(format_args!("{thread}"))
    }

    fn aggregate(&mut self, row: AggregateRow) -> io::Result<()> {
        let (name, ns) = (self.site_name(row.site), row.sum as f64 * self.scale.ns_per_tick());
        self.totals.insert(format!("{name}: runs"), row.count.into());
        self.totals.insert(format!("{name}: ns"), ns.into());
        Ok(())
    }

    fn count(&mut self, row: CountRow) -> io::Result<()> {
        self.totals.insert(format!("{}: executions", self.site_name(row.site)), row.count.into());
        Ok(())
    }

    fn close(&mut self, slice: Slice) -> io::Result<()> {
        let (begin, end) = (self.scale.ns(slice.begin), self.scale.ns(slice.end));
        let Some(beginning) = self.events.get(slice.site as usize) else { return Ok(()) };
        let buffer = &mut self.buffer;
        buffer.extend_from_slice(b",\n");
        buffer.extend_from_slice(beginning.as_bytes());
        let (unit, begin, length) = (self.unit, Microseconds(begin), Microseconds(end - begin));
        write!(buffer, r#"{unit},"ts":{begin},"dur":{length}}}"#)?;
        self.write_full()
    }

    fn sample(&mut self, sample: Counter) -> io::Result<()> {
        let (name, unit, value) = (Value::from(self.site_name(sample.site)), self.unit, sample.value);
        let at = Microseconds(self.scale.ns(sample.at));
        self.event(format_args!(
            r#"{{"name":{name},"ph":"C","pid":{PROCESS},"tid":{unit},"ts":{at},"args":{{"value":{value}}}}}"#
        ))
    }

    fn end_unit(&mut self, unit: &Unit) -> io::Result<()> {
        let (begin, end) = (self.scale.ns(unit.clock.begin_ticks), self.scale.ns(unit.clock.end_ticks));
        if unit.dropped > 0 {
            self.totals.insert("records dropped".into(), unit.dropped.into());
        }
        let args = Value::from(std::mem::take(&mut self.totals));
        let (id, begin, length) = (unit.id, Microseconds(begin), Microseconds(end.saturating_sub(begin)));
        self.event(format_args!(
            r#"{{"name":"unit {id}","cat":"unit","ph":"X","pid":{PROCESS},"args":{args},"tid":{id},"ts":{begin},"dur":{length}}}"#
        ))
    }

    fn end_file(&mut self, losses: &Losses) -> io::Result<()> {
        let losses = json!({ "losses": losses.sentences() });
        writeln!(self.buffer, "\n],\"otherData\":{losses}}}")?;
        self.output.write_all(&self.buffer)?;
        self.output.flush()
    }
}

impl<W: Write> Writer<W> {
    fn event(&mut self, event: std::fmt::Arguments<'_>) -> io::Result<()> {
        write!(self.buffer, ",\n{event}")?;
        self.write_full()
    }

    fn write_full(&mut self) -> io::Result<()> {
        if self.buffer.len() < BUFFER {
            return Ok(());
        }
        self.output.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn site_name(&self, site: u32) -> String {
        self.labels.get(site as usize).cloned().unwrap_or_else(|| format!("site {site}"))
    }
}

/// Nanoseconds, written as microseconds.
struct Microseconds(u64);

impl std::fmt::Display for Microseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
