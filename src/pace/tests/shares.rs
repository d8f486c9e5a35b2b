//! Shares where a large message takes longer than anybody may wait: an account of one recipient a
//! second, as in the sandbox, and messages to 50.

use super::*;

/// What a sender must get.
#[derive(Debug, Clone, Copy)]
enum Gets {
    /// So many recipients, within a tenth or one message.
    Share(usize),
    /// All it sends, and never a refusal.
    All,
}
use Gets::{All, Share};

fn limited(per_second: f64, sender: Sender) -> Sender {
    Sender { budget: Budget { per_second: Some(per_second), per_day: None }, ..sender }
}

async fn check(pace: &Pace, senders: &[(Sender, Gets)], seconds: f64, note: &str) {
    let (senders, gets): (Vec<_>, Vec<_>) =
        senders.iter().map(|(sender, gets)| (*sender, *gets)).unzip();
    let shares = run(pace, &senders, seconds).await;
    for (sender, gets) in senders.iter().zip(gets) {
        let [taken, refused] = shares[sender.user];
        match gets {
            Share(share) => {
                let slack = (share / 10).max(sender.recipients);
                assert!(
                    taken.abs_diff(share) <= slack,
                    "{note}: `{}` got {taken}, not {share}: {shares:?}",
                    sender.user
                );
            }
            All => assert_eq!(refused, 0, "{note}: `{}` was refused: {shares:?}", sender.user),
        }
    }
    // Nothing is left unused while somebody always waits.
    let total: usize = shares.values().map(|[taken, _]| taken).sum();
    assert!(total as f64 >= 0.95 * seconds - 50.0, "{note}: {shares:?}");
}

#[tokio::test(start_paused = true)]
async fn large_messages_take_their_users_share_and_nobody_elses() {
    let large = |user| sender(user, 1.0, 50);
    let cases: [(&str, &[(Sender, Gets)]); 8] = [
        ("half each", &[(large("large"), Share(2_500)), (sender("small", 2.0, 1), Share(2_500))]),
        ("less than half", &[(large("large"), Share(3_000)), (sender("small", 0.4, 1), All)]),
        (
            "two large",
            &[
                (large("large"), Share(1_667)),
                (large("other"), Share(1_667)),
                (sender("small", 1.0, 1), Share(1_667)),
            ],
        ),
        (
            "two large and one that sends little",
            &[
                (large("large"), Share(2_000)),
                (large("other"), Share(2_000)),
                (sender("small", 0.2, 1), All),
            ],
        ),
        (
            "several sizes",
            &[
                (large("large"), Share(1_250)),
                (sender("middle", 1.0, 25), Share(1_250)),
                (sender("few", 1.0, 3), Share(1_250)),
                (sender("small", 1.0, 1), Share(1_250)),
            ],
        ),
        (
            "several sizes, most of them below their share",
            &[
                (large("large"), Share(2_500)),
                (sender("few", 0.05, 5), All),
                (sender("two", 0.05, 2), All),
                (sender("small", 0.15, 1), All),
            ],
        ),
        (
            "a limit of its own",
            &[
                (limited(0.2, large("large")), Share(1_000)),
                (sender("small", 2.0, 1), Share(4_000)),
            ],
        ),
        (
            "a limit of the small one",
            &[
                (large("large"), Share(4_000)),
                (limited(0.2, sender("small", 2.0, 1)), Share(1_000)),
            ],
        ),
    ];
    for (note, senders) in cases {
        check(&pace(1.0, 20), senders, 5_000.0, note).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_users_one_who_sends_little_is_not_refused() {
    const NOISY: [&str; 28] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r",
        "s", "t", "u", "v", "w", "x", "y", "z", "aa", "ab",
    ];
    // Its share is a recipient in 30 seconds, more than it may wait.
    let noisy = NOISY.map(|user| (sender(user, 0.5, 1), Share(200)));
    // All begin at the same moment, when the first to come is the first to go.
    let others = [(sender("little", 0.03, 1), All), (sender("large", 1.0, 50), Share(200))];
    let senders: Vec<_> = others.into_iter().chain(noisy).collect();
    check(&pace(1.0, 20), &senders, 6_000.0, "30 users").await;
}

#[tokio::test(start_paused = true)]
async fn shares_hold_while_ses_throttles_and_the_rate_changes() {
    let pace = pace(None, 20);
    pace.learn(quota(1.0, -1.0, 0.0));
    let changes = async {
        let pace = pace.clone();
        for step in 0..50_u32 {
            sleep(Duration::from_secs(100)).await;
            match step % 5 {
                0 => pace.learn(quota(3.0, -1.0, 0.0)),
                1 | 2 => pace.throttled(),
                3 => pace.learn(quota(0.6, -1.0, 0.0)),
                _ => pace.learn(quota(1.0, -1.0, 0.0)),
            }
        }
    };
    let senders = [sender("large", 1.0, 50), sender("small", 4.0, 1), sender("little", 0.1, 1)];
    let (shares, ()) = tokio::join!(run(&pace, &senders, 5_000.0), changes);
    let [large, small] = ["large", "small"].map(|user| shares[user][0]);
    assert_eq!(shares["little"], [500, 0], "{shares:?}");
    assert!(large.abs_diff(small) <= large.max(small) / 10, "{shares:?}");
    // 1 for 1,000 s, 3 for 3,000 s but for what two throttles cost, 0.6 for 1,000 s.
    assert!(large + small > 8_500, "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn the_debt_of_a_user_that_has_gone_is_paid_with_its_share_alone() {
    let pace = pace(1.0, 20);
    at_once(&pace, "large", FREE, 50).unwrap().taken();
    let start = Instant::now();
    let mut waited = Vec::new();
    for _ in 0..60 {
        waited.push(send(&pace, "small", FREE, 1).await.unwrap());
    }
    let took = start.elapsed().as_secs_f64();
    assert!((107.0..111.0).contains(&took), "50 owed, each second turn pays for it: {took}");
    assert!(waited.iter().all(|waited| *waited < 2.1), "{waited:?}");
    // An hour later nothing is owed any more.
    sleep(Duration::from_secs(3_600)).await;
    at_once(&pace, "large", FREE, 50).unwrap().taken();
    sleep(Duration::from_secs(3_600)).await;
    at_once(&pace, "large", FREE, 50).unwrap().taken();
}

#[tokio::test(start_paused = true)]
async fn two_large_messages_do_not_go_at_once() {
    let pace = pace(1.0, 600);
    at_once(&pace, "first", FREE, 50).unwrap().taken();
    let waited = send(&pace, "second", FREE, 50).await.unwrap();
    assert!((50.0..50.1).contains(&waited), "{waited}");
    // It has paid half of its message while it waited, and owes the other half.
    let waited = send(&pace, "second", FREE, 1).await.unwrap();
    assert!((49.0..51.1).contains(&waited), "{waited}");
}

fn mixed() -> impl Strategy<Value = Vec<(usize, usize, u64)>> {
    // A user, its recipients a message, and the milliseconds between two.
    prop::collection::vec(
        (0usize..8, prop::sample::select(vec![1, 2, 5, 6, 20, 50]), 200u64..60_000),
        2..12,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever sends what: the rate is kept but for one burst and the messages that overdraw it, and
    /// whoever waits is served or refused.
    #[test]
    fn the_rate_is_kept_whoever_pays(
        rate in 0.2f64..8.0,
        loads in mixed(),
        throttled in prop::collection::vec(0u64..600, 0..4),
    ) {
        let wait = 20;
        let pace = pace(rate, wait);
        let sent: Arc<Mutex<Vec<(Duration, usize)>>> = Arc::default();
        paused().block_on(async {
            let start = Instant::now();
            let mut messages = JoinSet::new();
            for (user, recipients, gap) in loads {
                for number in 0..(600_000 / gap).min(600) {
                    let (pace, sent) = (pace.clone(), Arc::clone(&sent));
                    messages.spawn(async move {
                        sleep_until(start + Duration::from_millis(number * gap)).await;
                        let waited = Instant::now();
                        let turn = pace.turn(&user.to_string(), FREE, recipients, in_seconds(1e6)).await;
                        assert!(waited.elapsed().as_secs_f64() < wait as f64 + 0.01);
                        match turn {
                            // Some clients go away when their turn has come.
                            Ok(turn) if number % 7 == 3 => drop(turn),
                            Ok(turn) => turn.taken(),
                            Err(_) => return,
                        }
                        sent.lock().push((start.elapsed(), recipients));
                    });
                }
            }
            for at in throttled {
                let pace = pace.clone();
                messages.spawn(async move {
                    sleep_until(start + Duration::from_secs(at)).await;
                    pace.throttled();
                });
            }
            messages.join_all().await;
        });
        prop_assert_eq!(pace.status().waiting, 0);
        let sent = sent.lock();
        // A burst of the account and one of the pool, a large message, and one that is not.
        let burst = 2.0 * rate.max(1.0) + 50.0 + (rate * wait as f64 / 4.0).max(1.0);
        for (number, (first, _)) in sent.iter().enumerate() {
            let mut total = 0;
            for (at, recipients) in &sent[number..] {
                total += recipients;
                let window = (*at - *first).as_secs_f64() + 0.001;
                prop_assert!(total as f64 <= rate * window + burst, "{total} in {window}");
            }
        }
    }
}
