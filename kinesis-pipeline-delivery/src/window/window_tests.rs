use super::*;
use crate::{encode::Compression, window::Kind};

fn window(limits: Limits) -> Window {
    let encoder = || Encoder::new(Compression::None).unwrap();
    Window::new(limits, encoder(), encoder())
}

fn folder(name: &str) -> Folder {
    Folder {
        kind: Kind::Delivered,
        values: Box::new([name.into()]),
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn position(number: u64) -> Position {
    Position::new("shard".into(), u128::from(number).into())
}

/// Adds a record to the window, and returns the folders of the objects that are complete then.
fn put(window: &mut Window, number: u64, name: &str, bytes: usize, seconds: u64) -> Vec<String> {
    window.begin_record(&position(number), at(seconds));
    let framed = vec![b'x'; bytes];
    window
        .add(&folder(name), &framed, &position(number), at(seconds))
        .unwrap();
    let due = window.due().unwrap();
    let due = due.map_or(Vec::new(), |(_, sealed)| sealed);
    due.iter()
        .map(|object| object.folder.values[0].to_string())
        .collect()
}

#[test]
fn an_object_is_complete_when_it_has_its_bytes() {
    let mut window = window(Limits {
        object_bytes: 64 * 1024,
        ..Limits::of_test()
    });
    for number in 0..63 {
        assert!(put(&mut window, number, "a", 1024, 0).is_empty());
    }
    assert_eq!(put(&mut window, 63, "a", 1024, 0), ["a"]);
    assert!(window.range().is_none());
    assert_eq!(window.memory_bytes(), 0);
}

#[test]
fn the_size_counts_after_compression() {
    let limits = Limits {
        object_bytes: 64 * 1024,
        ..Limits::of_test()
    };
    let encoder = || Encoder::new(Compression::Gzip).unwrap();
    let mut window = Window::new(limits, encoder(), encoder());
    let mut complete = None;
    for number in 0..20_000 {
        // Digits: gzip halves them or so.
        let framed: String = (0..64)
            .map(|i| ((number * 7919 + i * i) % 9973).to_string())
            .collect();
        window.begin_record(&position(number), at(0));
        window
            .add(&folder("a"), framed.as_bytes(), &position(number), at(0))
            .unwrap();
        if let Some((_, mut sealed)) = window.due().unwrap() {
            complete = sealed.pop();
            break;
        }
    }
    let bytes = complete.unwrap().bytes;
    assert!((64 * 1024..128 * 1024).contains(&bytes), "{bytes}");
}

#[test]
fn a_window_ends_before_the_record_that_is_too_young_for_it() {
    let mut window = window(Limits::of_test());
    assert!(!window.ends_before(at(0)));
    put(&mut window, 1, "a", 10, 0);
    put(&mut window, 2, "b", 10, 59);
    assert!(!window.ends_before(at(59)));
    assert!(window.ends_before(at(60)));
    assert_eq!(window.due_at(), Some(at(60)));
    let sealed = window.seal_all().unwrap();
    assert_eq!(sealed.len(), 2);
    assert_eq!(
        (sealed[0].first.clone(), sealed[0].records),
        (position(1), 1)
    );
    assert_eq!((window.range(), window.due_at()), (None, None));
}

#[test]
fn a_folder_that_is_idle_is_written_while_others_go_on() {
    let mut window = window(Limits {
        idle: Duration::from_secs(10),
        ..Limits::of_test()
    });
    assert!(put(&mut window, 1, "cold", 10, 0).is_empty());
    assert!(put(&mut window, 2, "warm", 10, 5).is_empty());
    assert!(put(&mut window, 3, "warm", 10, 9).is_empty());
    assert_eq!(put(&mut window, 4, "warm", 10, 10), ["cold"]);
    assert_eq!(window.due_at(), Some(at(20)));
}

#[test]
fn the_coldest_are_written_when_the_memory_is_used_up() {
    let mut window = window(Limits {
        memory_bytes: 99 * 1024,
        ..Limits::of_test()
    });
    for (number, name) in (1..).zip(["a", "b", "c", "a"]) {
        assert!(
            put(&mut window, number, name, 16 * 1024, 0).is_empty(),
            "{name}"
        );
    }
    assert_eq!(put(&mut window, 5, "d", 32 * 1024, 0), ["b", "c", "a"]);
    assert!(window.memory_bytes() <= 50 * 1024);
}

#[test]
fn the_number_of_open_objects_is_bounded_too() {
    let mut window = window(Limits {
        folders: 4,
        ..Limits::of_test()
    });
    for (number, name) in (1..).zip(["a", "b", "c", "d"]) {
        assert!(put(&mut window, number, name, 10, 0).is_empty());
    }
    assert_eq!(put(&mut window, 5, "e", 10, 0), ["a", "b", "c"]);
}

#[test]
fn memory_stays_below_the_budget_at_ten_thousand_folders() {
    let limits = Limits {
        memory_bytes: 16 << 20,
        ..Limits::of_test()
    };
    let mut window = window(limits);
    let (mut written, mut most) = (0, 0);
    for number in 0..60_000_u64 {
        let name = (number * 7919 % 10_000).to_string();
        written += put(&mut window, number, &name, 900, 0).len();
        most = most.max(window.memory_bytes());
    }
    assert!(most <= limits.memory_bytes, "{most}");
    assert!(written > 10_000, "{written}");
}

#[test]
fn a_large_object_gives_up_parts_and_is_whole_in_the_end() {
    let mut window = window(Limits {
        object_bytes: 100 << 20,
        memory_bytes: 24 << 20,
        ..Limits::of_test()
    });
    let record = vec![b'x'; 100_000];
    let (mut spilled, mut parts) = (0, 0);
    for number in 0..500 {
        window.begin_record(&position(number), at(0));
        window
            .add(&folder("a"), &record, &position(number), at(0))
            .unwrap();
        if let Some(spill) = window.spill(&folder("a")) {
            spilled += spill.chunks.iter().map(bytes::Bytes::len).sum::<usize>();
            parts += 1;
            assert_eq!(spill.first, position(0));
        }
        assert!(window.due().unwrap().is_none());
        assert!(window.memory_bytes() < 10 << 20);
    }
    let object = window.seal_all().unwrap().remove(0);
    let rest: usize = object.chunks.iter().map(bytes::Bytes::len).sum();
    assert_eq!((spilled + rest, object.bytes), (50_000_000, 50_000_000));
    assert!(parts >= 5);
    let whole = vec![b'x'; 50_000_000];
    assert_eq!(object.crc, Some(crc32fast::hash(&whole)));
}
