//! Totals of a record file as a table.

use super::paint::{Page, Style};
use super::quantity::{count, percent, time};
use super::table::{self, Cell, left, right};
use kinstr_trace::totals::{SiteTotals, Totals};

/// Renders `totals`, timed sites first, longest first, then those that only count, most often first.
pub fn render(totals: &Totals, style: Style) -> String {
    let mut page = Page::new(style);
    let (launches, units) = (totals.launches, totals.units);
    let span = totals.units_ns.map_or("unknown, there is no usable clock".to_owned(), time);
    page.line(&format!("launches: {launches}, units: {units}, time of all units: {span}"));
    let mut sites: Vec<&SiteTotals> = totals.sites.iter().collect();
    sites.sort_by(|a, b| key(b).partial_cmp(&key(a)).unwrap_or(std::cmp::Ordering::Equal));
    let names = ["share", "site", "line", "count", "total", "mean", "min", "max"];
    let header = table::header(&names.map(|name| (name, !matches!(name, "site" | "line"))));
    table::write(&mut page, std::iter::once(header).chain(sites.into_iter().map(row)).collect());
    match totals.losses.any() {
        true => page.paragraph(0, &format!("losses: {}", totals.losses.sentences().join("; "))),
        false => page.line("losses: none"),
    }
    page.finish()
}

fn key(site: &SiteTotals) -> (f64, u64) {
    (site.time.map_or(-1.0, |time| time.total_ns), site.count)
}

fn row(site: &SiteTotals) -> Vec<Cell> {
    let of = |value: fn(&kinstr_trace::totals::SiteTime) -> String| {
        right(site.time.as_ref().map(value).unwrap_or_default())
    };
    vec![
        of(|site| site.share.map(percent).unwrap_or_default()),
        left(&site.name),
        left(site.place.as_ref().map(ToString::to_string).unwrap_or_default()),
        right(count(site.count as f64, "")),
        of(|site| time(site.total_ns)),
        of(|site| time(site.mean_ns)),
        of(|site| time(site.min_ns)),
        of(|site| time(site.max_ns)),
    ]
}
