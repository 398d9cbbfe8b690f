//! Keeps a report within its size.

use super::Report;
use serde::Serialize;

/// Bytes of compact JSON a report has at most unless asked for in full.
pub const DEFAULT_LIMIT: usize = 16 * 1024;
/// Texts from outside (a compiler's output, a candidate's last words) keep at first this many bytes.
const LONG_TEXT: usize = 2000;
/// And this many if the report is still too large.
const SHORT_TEXT: usize = 200;

impl Report {
    /// The report cut to `limit` bytes of compact JSON, newline included.
    ///
    /// The lists are ordered by weight, so they lose their tails, the longest list first, and `notes`
    /// says what was left out of which. Texts from outside are shortened where they are long. The verdict,
    /// the primary bottleneck and the first entries of every list stay, so a limit below some
    /// 6 KiB may not be reached; the report is then as small as it gets, and a note says so.
    #[must_use]
    pub fn bounded(mut self, limit: usize) -> Self {
        if size(&self) <= limit {
            return self;
        }
        let before = size(&self);
        self.shorten_texts(LONG_TEXT);
        let full: Vec<usize> = self.lists().iter().map(|list| list.items.length()).collect();
        let own_notes = self.notes.len();
        let before_cut = self.apart();
        loop {
            self.notes.truncate(own_notes.min(KEPT_NOTES));
            let left_out = self.left_out(&full, own_notes, &before_cut);
            self.notes.push(format!("cut from {before} to {limit} bytes: {left_out}"));
            if size(&self) <= limit {
                return self;
            }
            if !self.cut_longest() {
                break;
            }
        }
        let what_was_cut = self.notes.pop();
        self.shorten_texts(SHORT_TEXT);
        self.notes.extend(what_was_cut);
        if size(&self) > limit {
            self.notes.push(format!("the report does not fit {limit} bytes"));
        }
        self
    }

    /// The lists that may lose their tails, and how many entries each keeps at least.
    fn lists(&mut self) -> Vec<List<'_>> {
        let list = |name, least, items| List { name, least, items };
        let mut lists = vec![
            list("hot lines", 3, &mut self.hot_lines as &mut dyn Items),
            list("accesses", 2, &mut self.hot_accesses),
            list("branches", 1, &mut self.hot_branches),
            list("regions", 3, &mut self.regions),
            list("loops", 3, &mut self.loops),
            list("parallel regions", 3, &mut self.parallel),
            list("hot blocks", 2, &mut self.hot_blocks),
            list("diagnoses", 3, &mut self.diagnoses),
            list("workloads", 8, &mut self.workloads),
            list("stages", 2, &mut self.stages),
            list("layers", 6, &mut self.layers),
            list("costs of probes", 5, &mut self.probe_costs),
        ];
        if let Some(device) = &mut self.device {
            lists.extend([
                list("kernels", 2, &mut device.kernels as &mut dyn Items),
                list("timed sites of kernels", 2, &mut device.timed),
                list("accesses of kernels", 2, &mut device.accesses),
                list("branches of kernels", 1, &mut device.branches),
                list("rows of host calls", 1, &mut device.host),
            ]);
        }
        let peaks = self.peaks.iter_mut();
        lists.extend(peaks.map(|peaks| list("memory levels", 4, &mut peaks.levels as &mut dyn Items)));
        lists
    }

    /// Halves what the list with the most bytes has beyond its least; false if none has any.
    fn cut_longest(&mut self) -> bool {
        let lists = self.lists().into_iter().filter(|list| list.items.length() > list.least);
        let Some(longest) = lists.max_by_key(|list| list.items.bytes()) else {
            return self.cut_attempts() || self.cut_surroundings();
        };
        let beyond = longest.items.length() - longest.least;
        longest.items.cut(longest.least + beyond / 2);
        true
    }

    /// Of a stage tried many times, the first and the last attempt stay; false if that is so already.
    fn cut_attempts(&mut self) -> bool {
        let many = self.stages.iter_mut().filter(|stage| stage.attempts.len() > 2);
        many.map(|stage| stage.attempts.drain(1..stage.attempts.len() - 1).count()).sum::<usize>() > 0
    }

    /// Leaves out what the system did around each workload; false if there is nothing of it.
    fn cut_surroundings(&mut self) -> bool {
        let system = self.workloads.iter_mut().filter_map(|workload| workload.system.take()).count();
        system + self.workloads.iter_mut().filter_map(|workload| workload.events.take()).count() > 0
    }

    /// What there is of what is cut apart from the lists.
    fn apart(&self) -> Apart {
        Apart {
            attempts: self.stages.iter().map(|stage| stage.attempts.len()).collect(),
            systems: self.workloads.iter().filter(|workload| workload.system.is_some()).count(),
            events: self.workloads.iter().filter(|workload| workload.events.is_some()).count(),
        }
    }

    /// What is missing, list by list.
    fn left_out(&mut self, full: &[usize], own_notes: usize, before: &Apart) -> String {
        let now = self.apart();
        let lists = self.lists();
        let missing = lists.iter().zip(full).filter_map(|(list, full)| {
            let missing = full.checked_sub(list.items.length()).filter(|missing| *missing > 0)?;
            Some(format!("{missing} of {full} {}", list.name))
        });
        let mut parts: Vec<String> = missing.collect();
        if own_notes > KEPT_NOTES {
            parts.push(format!("{} of {own_notes} notes", own_notes - KEPT_NOTES));
        }
        let kept = before.attempts.iter().zip(&now.attempts);
        let attempts: usize = kept.map(|(before, now)| before - now).sum();
        if attempts > 0 {
            parts.push(format!("{attempts} attempts between the first and the last"));
        }
        if before.systems > 0 && now.systems == 0 {
            parts.push("what the system did around each workload".to_owned());
        }
        if before.events > 0 && now.events == 0 {
            parts.push("the events counted around each workload".to_owned());
        }
        match parts.is_empty() {
            true => "long texts shortened, no entry left out".to_owned(),
            false => format!("left out {}; --detail full has them", parts.join(", ")),
        }
    }

    /// Shortens every text that a tool or a candidate may have made long.
    fn shorten_texts(&mut self, most: usize) {
        shorten(&mut self.verdict_detail, most);
        self.notes.iter_mut().for_each(|note| shorten(note, most));
        for attempt in self.stages.iter_mut().flat_map(|stage| &mut stage.attempts) {
            attempt.detail.iter_mut().for_each(|detail| shorten(detail, most));
        }
        for layer in &mut self.layers {
            if let super::LayerStatus::Unavailable(why) | super::LayerStatus::Failed(why) = &mut layer.status
            {
                shorten(why, most);
            }
        }
    }
}

/// How much there is beside the lists.
struct Apart {
    /// By stage.
    attempts: Vec<usize>,
    systems: usize,
    events: usize,
}

/// Notes of its own that a report that was cut keeps.
const KEPT_NOTES: usize = 20;

/// A list that may be cut.
struct List<'a> {
    name: &'static str,
    least: usize,
    items: &'a mut dyn Items,
}

/// What cutting needs of a `Vec`, whatever is in it.
trait Items {
    fn length(&self) -> usize;
    fn bytes(&self) -> usize;
    fn cut(&mut self, length: usize);
}

impl<T: Serialize> Items for Vec<T> {
    fn length(&self) -> usize {
        self.len()
    }
    fn bytes(&self) -> usize {
        size(self)
    }
    fn cut(&mut self, length: usize) {
        self.truncate(length);
    }
}

/// Bytes of compact JSON and a newline. What cannot be written is reported when it is written.
fn size(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |json| json.len() + 1)
}

/// Cuts `text` in its middle, where it is least interesting: errors begin with what and end with why.
fn shorten(text: &mut String, most: usize) {
    if text.len() <= most {
        return;
    }
    let whole = |at: &usize| text.is_char_boundary(*at);
    let head = (0..=most * 2 / 3).rev().find(whole).unwrap_or(0);
    let tail = (text.len() - most / 3..text.len()).find(whole).unwrap_or(text.len());
    *text = format!("{} … ({} bytes left out) … {}", &text[..head], tail - head, &text[tail..]);
}
