use proptest::prelude::*;

use super::*;

const TTL: Duration = Duration::from_millis(100);

fn path(text: &str) -> VolumePath {
    text.parse().unwrap()
}

fn name(text: &str) -> PlainName {
    PlainName::new(text.as_ref()).unwrap()
}

fn names(texts: &[&str]) -> HashSet<PlainName> {
    texts.iter().map(|text| name(text)).collect()
}

/// As a lookup does for a name that the bucket does not have.
fn miss(absence: &Absence, text: &str, now: Instant) {
    absence.missed(&path(text), now, now);
}

#[test]
fn the_third_miss_in_a_row_is_worth_a_listing() {
    let (absence, start) = (Absence::new(TTL), Instant::now());
    miss(&absence, "d/a", start);
    assert!(absence.wants_listing(&path("d"), start).is_none());
    miss(&absence, "d/b", start);
    assert!(absence.wants_listing(&path("e"), start).is_none());
    assert!(
        absence.wants_listing(&path("d"), start).is_none(),
        "of who only looks"
    );
    absence.changed(&path("d/own"), start);
    let watch = absence.wants_listing(&path("d"), start).unwrap();
    assert!(
        absence
            .wants_listing(&path("d"), start + 10 * TTL)
            .is_none()
    );

    absence.learn(&path("d"), &watch, start, names(&["there"]), 1);
    let knows = |text: &str, now| absence.knows(&path("d"), &name(text), now);
    assert!(knows("c", start) && !knows("there", start));
    assert!(
        knows("d", start + TTL / 2),
        "and it goes on being asked for"
    );
    assert!(absence.wants_listing(&path("d"), start + TTL / 2).is_none());
    assert!(!knows("c", start + TTL));
    assert!(absence.wants_listing(&path("d"), start + TTL).is_some());
}

#[test]
fn a_listing_that_answers_little_is_not_renewed() {
    let (absence, start) = (Absence::new(TTL), Instant::now());
    miss(&absence, "d/a", start);
    miss(&absence, "d/b", start);
    absence.changed(&path("d/own"), start);
    let watch = absence.wants_listing(&path("d"), start).unwrap();
    absence.learn(&path("d"), &watch, start, names(&[]), 3);
    for answered in 0..6 {
        assert!(absence.wants_listing(&path("d"), start + TTL).is_none());
        let text = answered.to_string();
        assert!(absence.knows(&path("d"), &name(&text), start));
    }
    assert!(absence.wants_listing(&path("d"), start + TTL).is_some());
}

#[test]
fn what_could_not_be_listed_is_left_alone_for_a_while() {
    let (absence, start) = (Absence::new(Duration::from_hours(1)), Instant::now());
    miss(&absence, "d/a", start);
    miss(&absence, "d/b", start);
    absence.changed(&path("d/own"), start);
    let watch = absence.wants_listing(&path("d"), start).unwrap();
    absence.give_up(&path("d"), &watch, start);
    assert!(absence.wants_listing(&path("d"), start).is_none());
    let later = start + GIVEN_UP_FOR;
    assert!(absence.wants_listing(&path("d"), later).is_some());
}

#[test]
fn a_directory_that_was_made_is_empty_as_of_when_it_was_not_there() {
    let (absence, start) = (Absence::new(TTL), Instant::now());
    assert!(absence.making(&path("d")).is_none(), "who knows");
    miss(&absence, "d", start);
    let making = absence.making(&path("d")).unwrap();
    // Made in it by somebody who was faster than the answer.
    absence.changed(&path("d/ours"), start + TTL / 4);
    absence.made(&path("d"), &making);
    let knows = |text: &str, now| absence.knows(&path("d"), &name(text), now);
    assert!(knows("a", start) && !knows("ours", start));
    assert!(!knows("a", start + TTL));

    // Something was there, then, before it was made.
    miss(&absence, "e", start);
    absence.changed(&path("e"), start);
    assert!(absence.making(&path("e")).is_none());
    // Everything was moved while it was made.
    miss(&absence, "f", start);
    let making = absence.making(&path("f")).unwrap();
    absence.all_changed();
    absence.made(&path("f"), &making);
    assert!(!absence.knows(&path("f"), &name("a"), start));
}

#[test]
fn a_listing_whose_changes_were_dropped_is_not_learnt() {
    let (absence, start) = (Absence::new(TTL), Instant::now());
    miss(&absence, "d/a", start);
    miss(&absence, "d/b", start);
    absence.changed(&path("d/own"), start);
    let watch = absence.wants_listing(&path("d"), start).unwrap();
    for other in 0..DIRECTORIES.get() {
        miss(&absence, &format!("{other}/a"), start);
    }
    absence.changed(&path("d/c"), start);
    miss(&absence, "d/a", start);
    absence.learn(&path("d"), &watch, start, names(&[]), 1);
    assert!(!absence.knows(&path("d"), &name("c"), start));
    assert_eq!(absence.lock().names, 0);
}

/// Whatever the listing said, and also where it is still on its way.
#[test]
fn what_a_program_was_shown_is_not_absent() {
    let (absence, start) = (Absence::new(TTL), Instant::now());
    miss(&absence, "d/a", start);
    miss(&absence, "d/b", start);
    absence.changed(&path("d/own"), start);
    let watch = absence.wants_listing(&path("d"), start).unwrap();
    let knows = |text: &str| absence.knows(&path("d"), &name(text), start);
    {
        let _listing = watch.try_lock().unwrap();
        absence.shown(&path("d"), &names(&["new"]), start);
        absence.learn(&path("d"), &watch, start, names(&["old"]), 1);
    }
    absence.shown(&path("d"), &names(&["old", "newer"]), start);
    assert!(knows("a") && !knows("old") && !knows("new") && !knows("newer"));
    assert_eq!(absence.lock().names, 4);
}

#[test]
fn memory_is_bounded() {
    let (absence, start) = (Absence::new(TTL), Instant::now());
    for directory in 0..30 {
        let at = path(&directory.to_string());
        let watch = Watch::clone(&absence.lock().directory(at.clone()).watch);
        let all = (0..4000).map(|n| name(&n.to_string())).collect();
        absence.learn(&at, &watch, start, all, 4);
        absence.changed(&at.join(&name("changed")), start);
        absence.changed(&at.join(&name("changed")), start);
    }
    let inner = absence.lock();
    let counted: usize = inner
        .directories
        .iter()
        .map(|(_, known)| known.names())
        .sum();
    assert_eq!(inner.names, counted);
    assert!(
        (NAMES_MAX - 4001..=NAMES_MAX).contains(&counted),
        "{counted}"
    );
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// This mount makes or removes a name: what the bucket has, and then what is noted.
    Ours(usize),
    Noted,
    Others(usize),
    Wait(u64),
    Ask,
    /// What the bucket has at this moment is what the listing will show.
    List,
    Learn,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..NAMES.len()).prop_map(Step::Ours),
        3 => Just(Step::Noted),
        2 => (0..NAMES.len()).prop_map(Step::Others),
        2 => (0..120_u64).prop_map(Step::Wait),
        2 => Just(Step::Ask),
        2 => Just(Step::List),
        3 => Just(Step::Learn),
    ]
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever comes between what: a name that is said to be absent is not there, or somebody
    /// else made it within the time to live, or this mount's making of it has not returned.
    #[test]
    fn absent_is_what_is_not_there(steps in prop::collection::vec(step(), 0..60)) {
        let absence = Absence::new(TTL);
        let mut now = Instant::now();
        let directory = path("dir");
        miss(&absence, "dir/x", now);
        let watch = Watch::clone(&absence.lock().directory(directory.clone()).watch);
        // Since when it is there, and whether others made it.
        let mut there: [Option<(Instant, bool)>; 4] = [None; 4];
        let mut under_way: Vec<usize> = Vec::new();
        let (mut asked, mut shown) = (None, None);
        for step in steps {
            now += Duration::from_millis(1);
            match step {
                Step::Ours(at) => {
                    there[at] = if there[at].is_some() { None } else { Some((now, false)) };
                    under_way.push(at);
                }
                Step::Noted => for at in under_way.drain(..) {
                    absence.changed(&directory.join(&name(NAMES[at])), now);
                },
                Step::Others(at) => {
                    there[at] = if there[at].is_some() { None } else { Some((now, true)) };
                }
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Ask => (asked, shown) = (Some(now), None),
                Step::List if asked.is_some() => {
                    let present = (0..NAMES.len()).filter(|at| there[*at].is_some());
                    shown = Some(present.map(|at| name(NAMES[at])).collect());
                }
                Step::Learn => if let (Some(at), Some(names)) = (asked, shown.take()) {
                    absence.learn(&directory, &watch, at, names, 1);
                    asked = None;
                },
                Step::List => {}
            }
            for (at, there) in there.iter().enumerate() {
                if absence.knows(&directory, &name(NAMES[at]), now) && !under_way.contains(&at)
                    && let Some((since, others)) = there
                {
                    prop_assert!(*others && now - *since < TTL, "{} is there", NAMES[at]);
                }
            }
        }
    }
}
