#ifndef BASE_THREAD_ANNOTATIONS_H_
#define BASE_THREAD_ANNOTATIONS_H_

// Names for clang's thread-safety attributes: which lock guards what, written where it is declared
// and checked by `--config=clang`. Other compilers ignore them.

#if defined(__clang__)
#define CAIRN_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define CAIRN_THREAD_ATTRIBUTE(x)
#endif

// On a class: it is a lock, or it holds one for as long as it lives.
#define CAIRN_CAPABILITY(name) CAIRN_THREAD_ATTRIBUTE(capability(name))
#define CAIRN_SCOPED_CAPABILITY CAIRN_THREAD_ATTRIBUTE(scoped_lockable)

// On a member: read and written only while `mutex` is held; the second for what a pointer points
// to.
#define CAIRN_GUARDED_BY(mutex) CAIRN_THREAD_ATTRIBUTE(guarded_by(mutex))
#define CAIRN_POINTEE_GUARDED_BY(mutex) CAIRN_THREAD_ATTRIBUTE(pt_guarded_by(mutex))

// On a lock: the order in which locks are taken.
#define CAIRN_ACQUIRED_BEFORE(...) CAIRN_THREAD_ATTRIBUTE(acquired_before(__VA_ARGS__))
#define CAIRN_ACQUIRED_AFTER(...) CAIRN_THREAD_ATTRIBUTE(acquired_after(__VA_ARGS__))

// On a function: the caller holds the lock; the caller does not hold it.
#define CAIRN_REQUIRES(...) CAIRN_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define CAIRN_EXCLUDES(...) CAIRN_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))

// On a function: it takes the lock, releases it, or takes it when it returns `result`.
#define CAIRN_ACQUIRE(...) CAIRN_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define CAIRN_RELEASE(...) CAIRN_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define CAIRN_TRY_ACQUIRE(result, ...) \
  CAIRN_THREAD_ATTRIBUTE(try_acquire_capability(result, ##__VA_ARGS__))

// On a function: it returns a reference to the lock.
#define CAIRN_RETURN_CAPABILITY(mutex) CAIRN_THREAD_ATTRIBUTE(lock_returned(mutex))

// On a function the analysis cannot follow; say why beside it.
#define CAIRN_NO_THREAD_SAFETY_ANALYSIS CAIRN_THREAD_ATTRIBUTE(no_thread_safety_analysis)

#endif  // BASE_THREAD_ANNOTATIONS_H_
