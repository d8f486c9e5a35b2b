use proptest::prelude::*;

use super::super::network::tests::network;
use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Failures at these seconds, each with the lock it leads to, in seconds.
type Failures = &'static [(&'static [u64], Option<u64>)];

#[test]
fn failures_lead_to_locks_that_grow() {
    let network: &[Failures] = &[
        // Ten in a minute; the eleventh of a check that was under way changes nothing.
        &[(&[0, 0, 0, 0, 0, 1, 2, 3, 4], None), (&[59], Some(60)), (&[60, 118], None)],
        // Nine, and a minute after the first the count begins anew.
        &[(&[0, 1, 2, 3, 4, 5, 6, 7, 8], None), (&[60; 9], None), (&[60], Some(60))],
        // Ten more are needed each time, within a minute.
        &[
            (&[0; 9], None),
            (&[0], Some(60)),
            (&[60; 9], None),
            (&[60], Some(120)),
            (&[180; 9], None),
            (&[240; 9], None),
            (&[240], Some(240)),
        ],
        // 15 minutes after a lock all is forgiven.
        &[(&[0; 9], None), (&[0], Some(60)), (&[960; 9], None), (&[960], Some(60))],
        &[(&[0; 9], None), (&[0], Some(60)), (&[959; 9], None), (&[959], Some(120))],
    ];
    let user: &[Failures] = &[
        &[(&[0, 100, 200, 300, 400, 500, 600, 700, 800], None), (&[899], Some(60))],
        &[(&[0, 100, 200, 300, 400, 500, 600, 700, 800], None), (&[900; 9], None)],
        // Then a single one, for twice as long, up to 15 minutes.
        &[
            (&[0; 9], None),
            (&[0], Some(60)),
            (&[60], Some(120)),
            (&[180], Some(240)),
            (&[420], Some(480)),
            (&[900], Some(900)),
            (&[1800], Some(900)),
            (&[3599], Some(900)),
            (&[5399; 9], None),
            (&[5399], Some(60)),
        ],
    ];
    for (rule, cases) in [(FailureRule::NETWORK, network), (FailureRule::USER, user)] {
        for case in cases {
            let start = Instant::now();
            let mut table = Table::new(rule.clone(), ENTRIES);
            for (at, expected) in
                case.iter().flat_map(|(all, lock)| all.iter().map(move |at| (at, lock)))
            {
                let now = start + seconds(*at);
                let lock = table.failed(1, now);
                assert_eq!(lock.map(|lock| lock.lasts.as_secs()), *expected, "{at} of {case:?}");
                if let Some(lasts) = expected {
                    let end = now + seconds(*lasts);
                    assert!(table.turns_away(&1, now));
                    assert!(table.turns_away(&1, end - Duration::from_nanos(1)));
                    assert!(!table.turns_away(&1, end), "{at} of {case:?}");
                    assert!(!table.turns_away(&2, now));
                    assert!(table.is_suspect(&1, end));
                }
            }
        }
    }
}

#[test]
fn a_lock_counts_whom_it_turns_away() {
    let start = Instant::now();
    let mut table = Table::new(FailureRule { failures: 1, ..FailureRule::USER }, ENTRIES);
    assert_eq!(table.failed(1, start).unwrap().turned_away, 0);
    for _ in 0..7 {
        assert!(table.turns_away(&1, start));
    }
    assert_eq!(table.failed(1, start + seconds(60)).unwrap().turned_away, 7);
    assert_eq!(table.failed(1, start + seconds(180)).unwrap().turned_away, 0);
}

fn attempt(peer: &str, user: u8, trusted: bool) -> Attempt {
    let network = network(peer);
    let mut key = UserKey::default();
    key.iter_mut().zip(format!("{user} {network}").bytes()).for_each(|(to, from)| *to = from);
    Attempt { network, trusted, user: key }
}

fn someone(peer: &str, user: u8) -> Attempt {
    attempt(peer, user, false)
}

fn limits(entries: usize) -> Limits {
    Limits::new(FailureRule::NETWORK, FailureRule::USER, entries)
}

#[test]
fn a_network_is_locked_for_all_users_and_a_trusted_one_for_one_only() {
    let now = Instant::now();
    for (trusted, neighbour_is_locked) in [(false, true), (true, false)] {
        let mut limits = limits(ENTRIES);
        let guesser = attempt("192.0.2.1", 1, trusted);
        for _ in 0..10 {
            limits.failed(&guesser, now);
        }
        assert!(limits.turns_away(&guesser, now));
        let neighbour = attempt("192.0.2.1", 2, trusted);
        assert_eq!(limits.turns_away(&neighbour, now), neighbour_is_locked);
        assert!(!limits.turns_away(&attempt("192.0.2.2", 1, trusted), now));
    }
}

#[test]
fn many_names_from_one_network_lock_it() {
    let now = Instant::now();
    let mut limits = limits(ENTRIES);
    let locks: Vec<_> =
        (0..10).map(|user| limits.failed(&attempt("2001:db8::1", user, false), now)).collect();
    assert!(locks[..9].iter().all(|locks| *locks == Locks::default()));
    assert!(locks[9].network.is_some() && locks[9].user.is_none());
    assert!(limits.turns_away(&attempt("2001:db8::ffff", 77, false), now));
    assert!(!limits.turns_away(&attempt("2001:db8:0:1::1", 1, false), now));
}

#[test]
fn crowding_the_queue_counts_for_a_network_that_failed_before() {
    let now = Instant::now();
    for (failures, trusted, locked) in [(0, false, false), (1, false, true), (1, true, false)] {
        let mut limits = limits(ENTRIES);
        let crowd = attempt("192.0.2.1", 1, trusted);
        for _ in 0..failures {
            limits.failed(&crowd, now);
        }
        for _ in 0..9 {
            limits.crowded_out(&crowd, now);
        }
        assert_eq!(limits.turns_away(&crowd, now), locked, "{failures} {trusted}");
    }
}

#[test]
fn a_flood_of_networks_evicts_no_lock_and_no_more_than_it_must() {
    let entries = 1000;
    let now = Instant::now();
    let mut limits = limits(entries);
    let locked = attempt("192.0.2.1", 1, false);
    let failing = attempt("192.0.2.2", 1, false);
    for _ in 0..10 {
        limits.failed(&locked, now);
    }
    for _ in 0..9 {
        limits.failed(&failing, now);
    }
    // A /32 of IPv6, with a new /64 and a new name each time.
    for at in 0..10 * entries {
        let peer = format!("2001:db8:{:x}:{:x}::1", at / 100, at % 100);
        limits.failed(&attempt(&peer, 2, false), now);
    }
    assert_eq!(limits.len(), (entries, entries));
    assert!(limits.turns_away(&locked, now));
    assert!(limits.failed(&failing, now).user.is_some(), "nine failures were not forgotten");
}

#[test]
fn what_matters_no_more_is_swept_away() {
    let start = Instant::now();
    let mut limits = limits(ENTRIES);
    for at in 0..1000 {
        limits.failed(&attempt(&format!("2001:db8:0:{at:x}::1"), 1, false), start);
    }
    let later = start + seconds(60);
    limits.failed(&attempt("192.0.2.1", 1, false), later);
    assert_eq!(limits.len(), (1, 1001), "a minute for networks");
    limits.failed(&attempt("192.0.2.1", 1, false), start + seconds(900));
    assert_eq!(limits.len(), (1, 1), "15 minutes for users");
}

#[derive(Debug, Clone, Copy)]
struct Failure {
    network: u8,
    user: u8,
    after: u16,
    crowded: bool,
}

prop_compose! {
    fn failure()(network in 0..5_u8, user in 0..3_u8, after in 0..300_u16, crowded: bool) -> Failure {
        Failure { network, user, after, crowded }
    }
}

proptest! {
    #[test]
    fn nobody_elsewhere_locks_a_user_out(
        failures in prop::collection::vec(failure(), 0..200),
        hasty: bool,
        entries in 0..20_usize,
    ) {
        let elsewhere =
            ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "::ffff:127.0.0.1"];
        let here = ["192.0.2.3", "198.51.100.1", "2001:db8:0:2::1", "2001:db8:1::1"];
        let mut limits = limits(entries);
        let mut now = Instant::now();
        for failure in failures {
            now += if hasty { Duration::ZERO } else { seconds(failure.after.into()) };
            let trusted = failure.network == 4;
            let peer = elsewhere[usize::from(failure.network)];
            let attempt = attempt(peer, failure.user, trusted);
            if failure.crowded {
                limits.crowded_out(&attempt, now);
            } else {
                limits.failed(&attempt, now);
            }
            prop_assert!(limits.len().0 <= entries && limits.len().1 <= entries);
            for peer in here {
                for user in 0..3 {
                    prop_assert!(!limits.turns_away(&someone(peer, user), now));
                }
            }
        }
    }

    /// Whatever the rhythm, no network gets more than so many guesses in an hour.
    #[test]
    fn guesses_are_few(waits in prop::collection::vec(0..120_u64, 0..2000)) {
        let start = Instant::now();
        let mut now = start;
        let mut limits = limits(ENTRIES);
        let attempt = attempt("192.0.2.1", 1, false);
        let mut guesses = 0;
        for wait in waits {
            now += seconds(wait);
            if now >= start + seconds(3600) {
                break;
            }
            if !limits.turns_away(&attempt, now) {
                limits.failed(&attempt, now);
                guesses += 1;
            }
        }
        prop_assert!(guesses <= 36 + 9, "{guesses}");
    }
}
