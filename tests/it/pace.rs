//! The pace on real threads and a real clock: shares, the rate, and nobody forgotten; and an account
//! in the sandbox on a paused one.

use std::collections::BTreeMap;
use std::time::Duration;

use sesgate::pace::{Budget, Exceeded, Pace, PaceSettings, Quota};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

fn pace(rate: f64, wait: Duration) -> Pace {
    Pace::new(&PaceSettings { rate: Some(rate), wait })
}

/// 1,000 messages from five users at twice the rate: each gets a turn or is refused, the rate is
/// kept, and the users' shares are within 10 % of each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_users_share_what_there_is() {
    let (rate, wait) = (400.0, Duration::from_millis(800));
    let pace = pace(rate, wait);
    let start = Instant::now();
    let burst = pace.turn("first", Budget::default(), 400, start + wait).await;
    burst.unwrap().taken();
    let mut messages = JoinSet::new();
    for number in 0..1_000 {
        let pace = pace.clone();
        messages.spawn(async move {
            let user = ["a", "b", "c", "d", "e"][number % 5];
            sleep(Duration::from_micros(number as u64 * 1_250)).await;
            let by = Instant::now() + Duration::from_secs(60);
            match pace.turn(user, Budget::default(), 1, by).await {
                Ok(turn) => {
                    turn.taken();
                    (user, true)
                }
                Err(why) => {
                    assert_eq!(why, Exceeded::Rate);
                    (user, false)
                }
            }
        });
    }
    let mut shares: BTreeMap<&str, f64> = BTreeMap::new();
    for (user, is_sent) in messages.join_all().await {
        *shares.entry(user).or_default() += f64::from(u8::from(is_sent));
    }
    let total: f64 = shares.values().sum();
    let allowed = rate * start.elapsed().as_secs_f64() + 1.0;
    assert!(total <= allowed, "{total} of {allowed}");
    assert!((500.0..950.0).contains(&total), "{shares:?}");
    for share in shares.values() {
        assert!((share / (total / 5.0) - 1.0).abs() <= 0.1, "{shares:?}");
    }
    assert_eq!(pace.status().waiting, 0);
}

/// Clients that come and go at random on several threads, while SES throttles and the rate changes:
/// whoever stays gets its turn. A lost wake-up would leave them waiting for the hour.
/// `SESGATE_STRESS_ROUNDS` plays more than one round.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_forgotten() {
    let rounds = std::env::var("SESGATE_STRESS_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let pace = pace(3_000.0, Duration::from_secs(3_600));
        let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(round + 1);
        let mut messages = JoinSet::new();
        for number in 0..1_000_u64 {
            // Xorshift: the same in each run.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (pace, random) = (pace.clone(), random);
            messages.spawn(async move {
                sleep(Duration::from_micros(random % 300_000)).await;
                let user = format!("user{}", random % 7);
                let per_second = (random % 7 == 0).then_some(2_000.0);
                let budget = Budget { per_second, per_day: None };
                let by = Instant::now() + Duration::from_secs(3_600);
                let turn = pace.turn(&user, budget, (random % 13) as usize, by);
                if random.is_multiple_of(3) {
                    let patience = Duration::from_micros((random >> 20) % 400_000);
                    if let Ok(turn) = timeout(patience, turn).await {
                        drop(turn.unwrap());
                    }
                } else {
                    turn.await.unwrap().taken();
                }
                match number % 200 {
                    7 => pace.throttled(),
                    11 => pace.learn(Quota {
                        max_send_rate: 2_500.0 + number as f64,
                        max_24_hour_send: -1.0,
                        sent_last_24_hours: 0.0,
                    }),
                    _ => {}
                }
            });
        }
        timeout(Duration::from_secs(60), messages.join_all()).await.expect("all have gone");
        assert_eq!(pace.status().waiting, 0);
    }
}

/// An account of one recipient a second, as in the sandbox. Clients send one message after another and
/// try again when they are refused; those with many recipients get half of what there is, one with few
/// is never refused.
#[tokio::test(start_paused = true)]
async fn in_the_sandbox_messages_to_many_leave_others_their_half() {
    const SECONDS: u64 = 3_000;
    // Recipients a message of each of the two users; seconds between the messages of the second.
    for (many, few, gap) in [(50, 1, 0), (50, 1, 4), (50, 2, 10), (30, 1, 3), (50, 5, 15)] {
        let pace = pace(1.0, Duration::from_secs(20));
        let end = Instant::now() + Duration::from_secs(SECONDS);
        let client = |user: &'static str, recipients: usize, gap: u64| {
            let pace = pace.clone();
            async move {
                let mut counts = [0, 0];
                while Instant::now() < end {
                    let next = Instant::now() + Duration::from_secs(gap);
                    let by = Instant::now() + Duration::from_secs(55);
                    match pace.turn(user, Budget::default(), recipients, by).await {
                        Ok(turn) => {
                            turn.taken();
                            counts[0] += recipients as u64;
                        }
                        Err(why) => {
                            assert_eq!(why, Exceeded::Rate);
                            counts[1] += 1;
                        }
                    }
                    tokio::time::sleep_until(next).await;
                }
                counts
            }
        };
        let (large, small) = tokio::join!(client("large", many, 0), client("small", few, gap));
        let note = format!("{many} and {few} each {gap} s: {large:?} {small:?}");
        let wanted = (SECONDS * few as u64).checked_div(gap).unwrap_or(SECONDS / 2);
        assert_eq!(small[1], 0, "{note}");
        assert!(small[0].abs_diff(wanted) <= wanted / 10, "{note}");
        let rest = SECONDS - wanted;
        assert!(large[0].abs_diff(rest) <= rest / 10 + many as u64, "{note}");
    }
}
