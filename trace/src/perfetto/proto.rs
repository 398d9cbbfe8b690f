//! The messages of `perfetto/trace/perfetto_trace.proto` that a kernel's trace needs.
//!
//! Field numbers are the interface; names follow the `.proto`, except `kind` for `type`.

use prost::Message;

/// What stands before each [`TraceFile::packet`]: field 1, with a length.
pub const PACKET_KEY: u8 = 1 << 3 | 2;

/// `Trace`: a file.
#[derive(Clone, PartialEq, Message)]
pub struct TraceFile {
    /// Packets.
    #[prost(message, repeated, tag = "1")]
    pub packet: Vec<TracePacket>,
}

/// One event or descriptor.
#[derive(Clone, PartialEq, Message)]
pub struct TracePacket {
    /// Nanoseconds.
    #[prost(uint64, optional, tag = "8")]
    pub timestamp: Option<u64>,
    /// Writer.
    #[prost(uint32, optional, tag = "10")]
    pub trusted_packet_sequence_id: Option<u32>,
    /// Event on a track.
    #[prost(message, optional, tag = "11")]
    pub track_event: Option<TrackEvent>,
    /// Strings that later packets refer to.
    #[prost(message, optional, tag = "12")]
    pub interned_data: Option<InternedData>,
    /// [`flags`].
    #[prost(uint32, optional, tag = "13")]
    pub sequence_flags: Option<u32>,
    /// Declares a track.
    #[prost(message, optional, tag = "60")]
    pub track_descriptor: Option<TrackDescriptor>,
}

/// `TracePacket.SequenceFlags`.
pub mod flags {
    /// Forget interned data from before.
    pub const STATE_CLEARED: u32 = 1;
    /// Refers to interned data.
    pub const NEEDS_STATE: u32 = 2;
}

/// Strings by number.
#[derive(Clone, PartialEq, Message)]
pub struct InternedData {
    /// Names of slices.
    #[prost(message, repeated, tag = "2")]
    pub event_names: Vec<EventName>,
    /// Source lines.
    #[prost(message, repeated, tag = "4")]
    pub source_locations: Vec<SourceLocation>,
}

/// Name of a slice.
#[derive(Clone, PartialEq, Message)]
pub struct EventName {
    /// Number, from 1.
    #[prost(uint64, tag = "1")]
    pub iid: u64,
    /// Name.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// A source line.
#[derive(Clone, PartialEq, Message)]
pub struct SourceLocation {
    /// Number, from 1.
    #[prost(uint64, tag = "1")]
    pub iid: u64,
    /// File.
    #[prost(string, tag = "2")]
    pub file_name: String,
    /// Function.
    #[prost(string, tag = "3")]
    pub function_name: String,
    /// Line.
    #[prost(uint32, tag = "4")]
    pub line_number: u32,
}

/// Declares a track.
#[derive(Clone, PartialEq, Message)]
pub struct TrackDescriptor {
    /// Its number.
    #[prost(uint64, tag = "1")]
    pub uuid: u64,
    /// Its name, unless process or thread name it.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    /// The track of a process.
    #[prost(message, optional, tag = "3")]
    pub process: Option<ProcessDescriptor>,
    /// The track of a thread.
    #[prost(message, optional, tag = "4")]
    pub thread: Option<ThreadDescriptor>,
    /// Track around it.
    #[prost(uint64, optional, tag = "5")]
    pub parent_uuid: Option<u64>,
    /// A track of values.
    #[prost(message, optional, tag = "8")]
    pub counter: Option<CounterDescriptor>,
}

/// A process.
#[derive(Clone, PartialEq, Message)]
pub struct ProcessDescriptor {
    /// Number.
    #[prost(int32, tag = "1")]
    pub pid: i32,
    /// Name.
    #[prost(string, tag = "6")]
    pub process_name: String,
}

/// A thread.
#[derive(Clone, PartialEq, Message)]
pub struct ThreadDescriptor {
    /// Process.
    #[prost(int32, tag = "1")]
    pub pid: i32,
    /// Number.
    #[prost(int32, tag = "2")]
    pub tid: i32,
    /// Name.
    #[prost(string, tag = "5")]
    pub thread_name: String,
}

/// Marks a track as one of values; nothing more is said of them.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct CounterDescriptor {}

/// Something that happens on a track.
#[derive(Clone, PartialEq, Message)]
pub struct TrackEvent {
    /// Named values shown with it.
    #[prost(message, repeated, tag = "4")]
    pub debug_annotations: Vec<DebugAnnotation>,
    /// [`event`].
    #[prost(int32, tag = "9")]
    pub kind: i32,
    /// Interned name.
    #[prost(uint64, optional, tag = "10")]
    pub name_iid: Option<u64>,
    /// Track.
    #[prost(uint64, tag = "11")]
    pub track_uuid: u64,
    /// Name.
    #[prost(string, optional, tag = "23")]
    pub name: Option<String>,
    /// Value on a track of values.
    #[prost(int64, optional, tag = "30")]
    pub counter_value: Option<i64>,
    /// Interned source line.
    #[prost(uint64, optional, tag = "34")]
    pub source_location_iid: Option<u64>,
}

/// `TrackEvent.Type`.
pub mod event {
    /// A slice begins.
    pub const SLICE_BEGIN: i32 = 1;
    /// The innermost open slice ends.
    pub const SLICE_END: i32 = 2;
    /// Something without a length.
    pub const INSTANT: i32 = 3;
    /// A value.
    pub const COUNTER: i32 = 4;
}

/// A named value.
#[derive(Clone, PartialEq, Message)]
pub struct DebugAnnotation {
    /// As a whole number.
    #[prost(uint64, optional, tag = "3")]
    pub uint_value: Option<u64>,
    /// As a number.
    #[prost(double, optional, tag = "5")]
    pub double_value: Option<f64>,
    /// Name.
    #[prost(string, tag = "10")]
    pub name: String,
}

impl DebugAnnotation {
    /// A whole number.
    pub fn count(name: String, value: u64) -> Self {
        Self { name, uint_value: Some(value), double_value: None }
    }

    /// A number.
    pub fn number(name: String, value: f64) -> Self {
        Self { name, uint_value: None, double_value: Some(value) }
    }
}
