//! The pace on real threads and a real clock: shares, the rate, and nobody forgotten.

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
