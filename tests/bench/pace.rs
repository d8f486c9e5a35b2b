//! How long a turn takes when nothing waits, and when much does: `cargo bench --bench pace`.
//!
//! Wanted on one core: below 200 ns for a turn and its end when nothing waits, whatever the number of
//! users known (2 µs is the limit), and below 10 µs a message when a thousand users wait.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark fails by panicking, and has a clock"
)]

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use divan::{Bencher, black_box};
use sesgate::pace::{Budget, Pace, PaceSettings, Quota, Turn};
use tokio::time::Instant;

fn main() {
    divan::main();
}

const FREE: Budget = Budget { per_second: None, per_day: None };
const LIMITED: Budget = Budget { per_second: Some(1e12), per_day: Some(u64::MAX) };

fn pace(rate: Option<f64>) -> Pace {
    let pace = Pace::new(&PaceSettings { rate, wait: Duration::from_secs(20) });
    pace.learn(Quota {
        max_send_rate: rate.unwrap_or(0.0),
        max_24_hour_send: 1e15,
        sent_last_24_hours: 0.0,
    });
    pace
}

/// A turn that is granted without waiting.
fn turn(pace: &Pace, user: &str, budget: Budget, by: Instant) -> Turn {
    match pin!(pace.turn(user, budget, 1, by)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(turn) => turn.unwrap(),
        Poll::Pending => unreachable!("nothing waits and there is room"),
    }
}

#[divan::bench(args = [None, Some(1e12)])]
fn nothing_waits(bencher: Bencher<'_, '_>, rate: Option<f64>) {
    let (pace, by) = (pace(rate), Instant::now() + Duration::from_secs(3_600));
    bencher.bench_local(|| turn(black_box(&pace), "app", FREE, by).taken());
}

#[divan::bench]
fn nothing_waits_eight_threads(bencher: Bencher<'_, '_>) {
    let (pace, by) = (pace(Some(1e12)), Instant::now() + Duration::from_secs(3_600));
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let stopped = std::sync::Arc::new(std::sync::Mutex::new(stopped));
        for _ in 1..8 {
            let (pace, stopped) = (pace.clone(), std::sync::Arc::clone(&stopped));
            scope.spawn(move || {
                let is_over = || {
                    stopped.lock().unwrap().try_recv()
                        == Err(std::sync::mpsc::TryRecvError::Disconnected)
                };
                while !is_over() {
                    (0..1_000).for_each(|_| turn(&pace, "other", FREE, by).taken());
                }
            });
        }
        bencher.bench_local(|| turn(black_box(&pace), "app", FREE, by).taken());
        drop(stop);
    });
}

#[divan::bench(args = [1, 1_000])]
fn users_known(bencher: Bencher<'_, '_>, users: usize) {
    let (pace, by) = (pace(Some(1e12)), Instant::now() + Duration::from_secs(3_600));
    let users: Vec<_> = (0..users).map(|number| format!("user{number}")).collect();
    for user in &users {
        turn(&pace, user, LIMITED, by).taken();
    }
    let mut next = users.iter().cycle();
    bencher.bench_local(|| turn(black_box(&pace), next.next().unwrap(), LIMITED, by).taken());
}

/// A thousand users wait with ten messages each, and then all may go.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn ten_thousand_wait_and_go(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let users: Vec<_> = (0..1_000).map(|number| format!("user{number}")).collect();
    let by = Instant::now() + Duration::from_secs(3_600);
    bencher.counter(divan::counter::ItemsCount::new(10_000_usize)).bench_local(|| {
        runtime.block_on(async {
            let pace = pace(Some(1.0));
            turn(&pace, "first", FREE, by).taken();
            let mut waiting: Vec<_> = (0..10)
                .flat_map(|_| users.iter().map(|user| Box::pin(pace.turn(user, FREE, 1, by))))
                .collect();
            let mut context = Context::from_waker(Waker::noop());
            for turn in &mut waiting {
                assert!(turn.as_mut().poll(&mut context).is_pending());
            }
            pace.configure(&PaceSettings { rate: None, wait: Duration::ZERO });
            let quota =
                Quota { max_send_rate: 1e12, max_24_hour_send: -1.0, sent_last_24_hours: 0.0 };
            pace.learn(quota);
            for turn in waiting {
                turn.await.unwrap().taken();
            }
        });
    });
}
