//! Which bytes of a blob a request wants (RFC 9110 §14).

/// What a `Range` header means for content of some size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// All of it: no header, or one that may be ignored, as those with several ranges.
    Whole,
    /// From and to, both included.
    Part(u64, u64),
    /// Nothing is there.
    Beyond,
}

/// Reads a header.
pub(super) fn read(header: Option<&str>, size: u64) -> Range {
    let Some((first, last)) = header.and_then(|header| header.strip_prefix("bytes=")?.split_once('-')) else {
        return Range::Whole;
    };
    let end = size.saturating_sub(1);
    match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(first), _) if first >= size => Range::Beyond,
        (Ok(first), "") => Range::Part(first, end),
        (Ok(first), last) => match last.parse::<u64>() {
            Ok(last) if last >= first => Range::Part(first, last.min(end)),
            Ok(_) | Err(_) => Range::Whole,
        },
        // The last so many bytes.
        (Err(_), last) if first.trim().is_empty() => match last.parse::<u64>() {
            Ok(0) => Range::Beyond,
            Ok(_) if size == 0 => Range::Beyond,
            Ok(count) => Range::Part(size.saturating_sub(count), end),
            Err(_) => Range::Whole,
        },
        (Err(_), _) => Range::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let rows = [
            (None, Range::Whole),
            (Some("bytes=0-99"), Range::Part(0, 99)),
            (Some("bytes=0-"), Range::Part(0, 99)),
            (Some("bytes=10-19"), Range::Part(10, 19)),
            (Some("bytes=90-1000"), Range::Part(90, 99)),
            (Some("bytes=-10"), Range::Part(90, 99)),
            (Some("bytes=-1000"), Range::Part(0, 99)),
            (Some("bytes=100-"), Range::Beyond),
            (Some("bytes=-0"), Range::Beyond),
            (Some("bytes=20-10"), Range::Whole),
            (Some("bytes=0-1,5-6"), Range::Whole),
            (Some("bytes=a-b"), Range::Whole),
            (Some("items=0-1"), Range::Whole),
            (Some("bytes="), Range::Whole),
        ];
        for (header, want) in rows {
            assert_eq!(read(header, 100), want, "{header:?}");
        }
    }
}
