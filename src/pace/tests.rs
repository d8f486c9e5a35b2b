//! The pace as the relay uses it, on a clock that is paused.

#![expect(clippy::disallowed_methods, reason = "tests begin at some time")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::*;

mod shares;

const FREE: Budget = Budget { per_second: None, per_day: None };

fn pace(rate: impl Into<Option<f64>>, wait_seconds: u64) -> Pace {
    Pace::new(&PaceSettings { rate: rate.into(), wait: Duration::from_secs(wait_seconds) })
}

fn in_seconds(seconds: f64) -> Instant {
    Instant::now() + Duration::from_secs_f64(seconds)
}

fn quota(max_send_rate: f64, max_24_hour_send: f64, sent_last_24_hours: f64) -> Quota {
    Quota { max_send_rate, max_24_hour_send, sent_last_24_hours }
}

/// Asks for a turn and counts it as sent. Returns how many seconds it took.
async fn send(pace: &Pace, user: &str, budget: Budget, recipients: usize) -> Result<f64, Exceeded> {
    let start = Instant::now();
    pace.turn(user, budget, recipients, in_seconds(1e6)).await?.taken();
    Ok(start.elapsed().as_secs_f64())
}

/// Asks for a turn, which must be granted or refused without waiting.
fn at_once(pace: &Pace, user: &str, budget: Budget, recipients: usize) -> Result<Turn, Exceeded> {
    let turn = std::pin::pin!(pace.turn(user, budget, recipients, in_seconds(1e6)));
    match turn.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(turn) => turn,
        std::task::Poll::Pending => panic!("`{user}` must wait"),
    }
}

/// A sender whose messages come at a steady rate, whether the earlier ones went or not.
#[derive(Debug, Clone, Copy)]
struct Sender {
    user: &'static str,
    budget: Budget,
    messages_per_second: f64,
    recipients: usize,
}

/// Lets senders send for so long. Returns for each what was sent to and what was refused.
async fn run(pace: &Pace, senders: &[Sender], seconds: f64) -> BTreeMap<&'static str, [usize; 2]> {
    let start = Instant::now();
    let mut messages = JoinSet::new();
    for sender in senders {
        let &Sender { user, budget, recipients, messages_per_second } = sender;
        for number in 0..(seconds * messages_per_second) as u64 {
            let pace = pace.clone();
            let at = start + Duration::from_secs_f64(number as f64 / messages_per_second);
            messages.spawn(async move {
                sleep_until(at).await;
                let sent = send(&pace, user, budget, recipients).await;
                let is_counted = start.elapsed().as_secs_f64() <= seconds;
                (user, recipients, sent.map(|_| is_counted))
            });
        }
    }
    let mut shares = BTreeMap::new();
    while let Some(message) = messages.join_next().await {
        let (user, recipients, sent) = message.unwrap();
        let [taken, refused] = shares.entry(user).or_insert([0; 2]);
        match sent {
            Ok(true) => *taken += recipients,
            Ok(false) => {}
            Err(_) => *refused += recipients,
        }
    }
    assert_eq!(pace.status().waiting, 0);
    shares
}

fn sender(user: &'static str, messages_per_second: f64, recipients: usize) -> Sender {
    Sender { user, budget: FREE, messages_per_second, recipients }
}

#[tokio::test(start_paused = true)]
async fn five_users_at_twice_the_rate_get_equal_shares() {
    // 20 a second for 100 seconds are 400 each; all want at least 8 a second.
    for senders in [
        // The same for all.
        ["a", "b", "c", "d", "e"].map(|user| sender(user, 8.0, 1)),
        // One is ten times as noisy.
        ["a", "b", "c", "d", "e"].map(|user| sender(user, if user == "a" { 80.0 } else { 8.0 }, 1)),
        // Large messages and small ones.
        [("a", 1), ("b", 2), ("c", 5), ("d", 10), ("e", 20)]
            .map(|(user, recipients)| sender(user, 8.0 / recipients as f64, recipients)),
    ] {
        let shares = run(&pace(20.0, 20), &senders, 100.0).await;
        for (user, [taken, _]) in &shares {
            assert!((380..=420).contains(taken), "{user}: {shares:?}");
        }
        let total: usize = shares.values().map(|[taken, _]| taken).sum();
        assert!((1_999..=2_040).contains(&total), "{shares:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_little_loses_nothing_to_who_sends_much() {
    let senders = [sender("noisy", 200.0, 1), sender("light", 1.0, 2), sender("rare", 0.1, 1)];
    let shares = run(&pace(10.0, 20), &senders, 60.0).await;
    assert_eq!([shares["light"], shares["rare"]], [[120, 0], [6, 0]], "{shares:?}");
    assert!(shares["noisy"][0] >= 470, "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn a_late_message_of_a_light_user_is_next() {
    let pace = pace(1.0, 600);
    let mut noisy = JoinSet::new();
    for _ in 0..300 {
        let pace = pace.clone();
        noisy.spawn(async move { send(&pace, "noisy", FREE, 1).await });
    }
    sleep(Duration::from_secs_f64(9.5)).await;
    let waited = send(&pace, "light", FREE, 1).await.unwrap();
    assert!(waited < 0.52, "{waited}");
    assert_eq!(pace.status().waiting_by_user, [("noisy".to_owned(), 290, 290)]);
}

#[tokio::test(start_paused = true)]
async fn each_user_is_served_in_order() {
    let pace = pace(10.0, 600);
    let mut messages = JoinSet::new();
    let order = Arc::new(Mutex::new(Vec::new()));
    for number in 0..50 {
        let (pace, order) = (pace.clone(), Arc::clone(&order));
        messages.spawn(async move {
            send(&pace, "app", FREE, 1 + number % 3).await.unwrap();
            order.lock().push(number);
        });
    }
    messages.join_all().await;
    assert!(order.lock().is_sorted());
}

#[tokio::test(start_paused = true)]
async fn a_large_message_goes_at_once_and_those_after_it_pay() {
    let pace = pace(0.5, 200);
    assert_eq!(send(&pace, "app", FREE, 50).await, Ok(0.0));
    let waited = send(&pace, "app", FREE, 50).await.unwrap();
    assert!((100.0..100.01).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn without_a_known_rate_nothing_waits() {
    let pace = pace(None, 20);
    pace.learn(quota(0.0, -1.0, 1e9));
    for _ in 0..10_000 {
        at_once(&pace, "app", FREE, 50).unwrap().taken();
    }
    let status = pace.status();
    assert_eq!((status.nominal_rate, status.current_rate), (None, None));
    assert_eq!(status.taken_since_reading, 500_000);
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_beyond_its_bounds() {
    // wait of the settings, deadline of the message, seconds until it is refused
    for (wait, by, refused) in [(20, 55.0, 20.0), (20, 3.0, 3.0), (20, 0.0, 0.0), (0, 55.0, 0.0)] {
        let pace = pace(0.5, wait);
        at_once(&pace, "app", FREE, 50).unwrap().taken();
        let start = Instant::now();
        let turn = pace.turn("app", FREE, 1, in_seconds(by)).await;
        assert_eq!(turn.unwrap_err(), Exceeded::Rate);
        let waited = start.elapsed().as_secs_f64();
        assert!((refused..refused + 0.01).contains(&waited), "{waited} for {wait} and {by}");
        assert_eq!(pace.status().waiting, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_that_cannot_go_in_time_is_refused_at_once() {
    let pace = pace(2.0, 20);
    let mut messages = JoinSet::new();
    for _ in 0..200 {
        let pace = pace.clone();
        messages.spawn(async move { send(&pace, "app", FREE, 1).await });
    }
    sleep(Duration::from_millis(1)).await;
    let status = pace.status();
    assert_eq!(status.waiting, 41, "20 seconds at 2 a second, and one");
    let sent = messages.join_all().await;
    // Two at once, and those of 20 seconds; the last of them comes as its time is over.
    let sent = sent.iter().filter(|sent| sent.is_ok()).count();
    assert!((41..=42).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn budgets_per_second_wait_and_hold_nobody_else_up() {
    let limited = Budget { per_second: Some(1.0), per_day: None };
    let senders = [
        Sender { budget: limited, ..sender("limited", 10.0, 1) },
        sender("a", 10.0, 1),
        sender("b", 10.0, 1),
    ];
    let shares = run(&pace(20.0, 20), &senders, 100.0).await;
    assert!((95..=102).contains(&shares["limited"][0]), "{shares:?}");
    assert!(shares["a"][0] >= 930 && shares["b"][0] >= 930, "{shares:?}");

    // The same when the account has no limit, and with the right reason.
    let pace = pace(None, 5);
    assert_eq!(send(&pace, "limited", limited, 3).await, Ok(0.0));
    let waited = send(&pace, "limited", limited, 10).await.unwrap();
    assert!((3.0..3.01).contains(&waited), "{waited}");
    assert_eq!(send(&pace, "limited", limited, 1).await, Err(Exceeded::UserRate));
    at_once(&pace, "other", FREE, 50).unwrap().taken();
    // A budget that is lifted is lifted at once.
    assert_eq!(send(&pace, "limited", FREE, 1).await, Ok(0.0));
}

#[tokio::test(start_paused = true)]
async fn budgets_per_day_refuse_and_roll() {
    let budget = Budget { per_second: None, per_day: Some(10) };
    let pace = pace(None, 20);
    let first = at_once(&pace, "app", budget, 6).unwrap();
    assert_eq!(at_once(&pace, "app", budget, 5).unwrap_err(), Exceeded::UserQuota);
    drop(first);
    at_once(&pace, "app", budget, 5).unwrap().taken();
    sleep(Duration::from_secs(12 * 3600)).await;
    at_once(&pace, "app", budget, 5).unwrap().taken();
    assert_eq!(at_once(&pace, "app", budget, 1).unwrap_err(), Exceeded::UserQuota);
    assert_eq!(pace.status().day_used_by_user, [("app".to_owned(), 10)]);
    at_once(&pace, "other", budget, 10).unwrap().taken();
    sleep(Duration::from_secs(12 * 3600 + 900)).await;
    at_once(&pace, "app", budget, 5).unwrap().taken();
    assert_eq!(at_once(&pace, "app", budget, 1).unwrap_err(), Exceeded::UserQuota);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_gets_no_turn_gives_its_day_back() {
    let budget = Budget { per_second: None, per_day: Some(10) };
    let pace = pace(1.0, 5);
    at_once(&pace, "other", FREE, 50).unwrap().taken();
    assert_eq!(send(&pace, "app", budget, 10).await, Err(Exceeded::Rate));
    assert_eq!(pace.status().day_used_by_user, [("app".to_owned(), 0)]);
}

#[tokio::test(start_paused = true)]
async fn the_quota_of_the_account_holds_back_until_it_is_read_again() {
    let pace = pace(None, 20);
    pace.learn(quota(100.0, 200.0, 190.0));
    at_once(&pace, "app", FREE, 9).unwrap().taken();
    // Whether the message that goes beyond may is for SES to say.
    drop(at_once(&pace, "app", FREE, 5).unwrap());
    at_once(&pace, "app", FREE, 1).unwrap().taken();
    assert_eq!(at_once(&pace, "app", FREE, 1).unwrap_err(), Exceeded::Quota);
    assert!(pace.status().is_quota_used_up);
    sleep(Duration::from_secs(300)).await;
    drop(at_once(&pace, "app", FREE, 1).unwrap());
    let doubts = pace.doubts();
    assert!(!doubts.has_changed().unwrap());
    pace.quota_exceeded();
    assert!(doubts.has_changed().unwrap());
    assert_eq!(at_once(&pace, "app", FREE, 1).unwrap_err(), Exceeded::Quota);
    pace.learn(quota(100.0, 200.0, 150.0));
    drop(at_once(&pace, "app", FREE, 1).unwrap());
}

#[tokio::test(start_paused = true)]
async fn learning_wakes_those_who_wait() {
    for (rate, seconds) in [(100.0, 1.0), (1_000.0, 0.1), (0.0, 0.0)] {
        let pace = pace(None, 600);
        pace.learn(quota(1.0, -1.0, 0.0));
        let mut messages = JoinSet::new();
        for _ in 0..101 {
            let pace = pace.clone();
            messages.spawn(async move { send(&pace, "app", FREE, 1).await.unwrap() });
        }
        sleep(Duration::from_millis(500)).await;
        assert_eq!(pace.status().waiting, 100);
        let start = Instant::now();
        pace.learn(quota(rate, -1.0, 0.0));
        messages.join_all().await;
        let took = start.elapsed().as_secs_f64();
        assert!((seconds - 0.03..seconds + 0.01).contains(&took), "{took} at {rate}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_slows_and_recovers() {
    let pace = pace(10.0, 600);
    let load = [sender("a", 20.0, 1)];
    run(&pace, &load, 10.0).await;
    for _ in 0..5 {
        pace.throttled();
        pace.throttled();
        sleep(Duration::from_secs(1)).await;
    }
    let status = pace.status();
    assert_eq!((status.nominal_rate, status.throttles), (Some(10.0), 10));
    assert!((1.6..2.6).contains(&status.current_rate.unwrap()), "{status:?}");
    let shares = run(&pace, &load, 10.0).await;
    assert!((20..35).contains(&shares["a"][0]), "{shares:?}");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(pace.status().current_rate, Some(10.0));
    let shares = run(&pace, &load, 10.0).await;
    assert!((100..=110).contains(&shares["a"][0]), "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_rate_throttling_makes_one_for_a_while() {
    let pace = pace(None, 600);
    run(&pace, &[sender("a", 30.0, 1)], 5.0).await;
    pace.throttled();
    assert!((20.0..22.0).contains(&pace.status().current_rate.unwrap()));
    let shares = run(&pace, &[sender("a", 100.0, 1)], 10.0).await;
    assert!((215..250).contains(&shares["a"][0]), "{shares:?}");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(pace.status().current_rate, None);
    for _ in 0..1_000 {
        at_once(&pace, "a", FREE, 1).unwrap().taken();
    }
}

/// A message to 30 recipients that has begun to wait and is not asked again.
async fn stalled(pace: &Pace) -> std::pin::Pin<Box<impl Future<Output = Result<Turn, Exceeded>>>> {
    at_once(pace, "app", FREE, 1).unwrap().taken();
    let mut turn = Box::pin(pace.turn("app", FREE, 30, in_seconds(60.0)));
    tokio::select! {
        biased;
        _ = &mut turn => panic!("there is no room yet"),
        () = std::future::ready(()) => turn,
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_wakes_the_next() {
    let pace = pace(1.0, 600);
    let first = stalled(&pace).await;
    let second = pace.turn("other", FREE, 1, in_seconds(60.0));
    let drop_first = async {
        sleep(Duration::from_secs(2)).await;
        drop(first);
    };
    let start = Instant::now();
    let (second, ()) = tokio::join!(second, drop_first);
    second.unwrap().taken();
    assert!(start.elapsed().as_secs_f64() < 2.01, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_came_and_was_not_taken_up_costs_nothing() {
    let pace = pace(1.0, 600);
    let first = stalled(&pace).await;
    sleep(Duration::from_secs(2)).await;
    pace.learn(quota(1.0, -1.0, 0.0));
    assert_eq!(pace.status().waiting, 0, "its turn has come");
    drop(first);
    at_once(&pace, "other", FREE, 1).unwrap().taken();
}

#[tokio::test(start_paused = true)]
async fn idle_users_are_forgotten() {
    let pace = pace(None, 20);
    let budget = Budget { per_second: Some(10.0), per_day: Some(10) };
    for user in 0..1_000 {
        at_once(&pace, &format!("user{user}"), budget, 1).unwrap().taken();
    }
    assert_eq!(pace.state.lock().remembered(), 1_000);
    sleep(Duration::from_secs(25 * 3600)).await;
    for user in 0..1_000 {
        drop(at_once(&pace, &format!("late{user}"), budget, 1).unwrap());
    }
    assert!(pace.state.lock().remembered() <= 1_100, "{}", pace.state.lock().remembered());
}

/// One message of a storm.
#[derive(Debug, Clone)]
struct Storm {
    at: u64,
    user: usize,
    recipients: usize,
    /// When its client goes away, if it does.
    patience: Option<u64>,
}

fn storm() -> impl Strategy<Value = Storm> {
    (0u64..20_000, 0usize..5, 1usize..=50, prop::option::of(0u64..5_000))
        .prop_map(|(at, user, recipients, patience)| Storm { at, user, recipients, patience })
}

/// Plays a storm. Returns the moments and recipients of all turns that were given.
async fn play(pace: Pace, storm: Vec<Storm>) -> Vec<(Duration, usize)> {
    const BUDGETS: [Budget; 5] = [
        FREE,
        Budget { per_second: Some(2.0), per_day: None },
        FREE,
        Budget { per_second: Some(100.0), per_day: Some(300) },
        FREE,
    ];
    let start = Instant::now();
    let mut messages = JoinSet::new();
    for Storm { at, user, recipients, patience } in storm {
        let pace = pace.clone();
        messages.spawn(async move {
            sleep_until(start + Duration::from_millis(at)).await;
            let by = in_seconds(1e6);
            let name = user.to_string();
            let turn = pace.turn(&name, BUDGETS[user], recipients, by);
            let turn = match patience {
                None => turn.await,
                Some(patience) => timeout_at(in_seconds(patience as f64 / 1e3), turn)
                    .await
                    .unwrap_or(Err(Exceeded::Rate)),
            };
            turn.ok().map(|turn| {
                turn.taken();
                (start.elapsed(), recipients)
            })
        });
    }
    messages.join_all().await.into_iter().flatten().collect()
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever comes and goes: no window has more than the rate allows, and nobody who waits
    /// long enough is forgotten.
    #[test]
    fn storms(
        rate in 0.5f64..60.0,
        storm in prop::collection::vec(storm(), 1..150),
        learned in prop::collection::vec((0u64..20_000, 0.1f64..1.0), 0..3),
        throttled in prop::collection::vec(0u64..20_000, 0..5),
    ) {
        let stay: Vec<_> = storm.iter().filter(|message| message.patience.is_none()).collect();
        let (stayed, budgeted) = (stay.len(), stay.iter().filter(|m| m.user == 3).count());
        let pace = pace(rate, 1_000_000);
        let mut taken = paused().block_on(async {
            let mut others = JoinSet::new();
            let start = Instant::now();
            for (at, part) in learned {
                let pace = pace.clone();
                others.spawn(async move {
                    sleep_until(start + Duration::from_millis(at)).await;
                    pace.learn(quota(rate * part, -1.0, 0.0));
                });
            }
            for at in throttled {
                let pace = pace.clone();
                others.spawn(async move {
                    sleep_until(start + Duration::from_millis(at)).await;
                    pace.throttled();
                });
            }
            play(pace.clone(), storm).await
        });
        prop_assert_eq!(pace.status().waiting, 0);
        prop_assert!(taken.len() >= stayed - budgeted, "{} of {}", taken.len(), stayed);
        taken.sort_unstable();
        // A lost wake-up is made good when a deadline comes, not before.
        prop_assert!(taken.iter().all(|(at, _)| at.as_secs() < 500_000), "{:?}", taken.last());
        let burst = rate.max(1.0);
        for (number, (first, _)) in taken.iter().enumerate() {
            let mut total = 0;
            for (at, recipients) in &taken[number..] {
                total += recipients;
                // Timers are exact to a millisecond.
                let window = (*at - *first).as_secs_f64() + 0.001;
                prop_assert!(total as f64 <= rate * window + burst + 50.0, "{total} in {window}");
            }
        }
    }
}
