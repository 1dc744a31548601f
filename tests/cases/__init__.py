"""Cases as users have them: their folders, their files, their shells.

Each is a test with one line that says what is right. `python -m tests.cases` runs all of them and
prints that line. A test called test_item_N... is of number N of this list; of the other numbers
all tests of a file are. Files not in this folder are named from tests/.

 1  a path or a version that a checkpoint does not survive: test_checkpoint_paths
 2  nets without class names, some of a net's classes: test_class_names, run/test_class_matching
 3  what a listing leaves out: test_folders
 4  wrapped folders, names like splits, one class: test_folders
 5  the held-out part of each class: test_folders
 6  ~ and addresses of object stores: test_user_paths
 7  settings of JAX in the environment: test_ambient_settings
 8  accelerators that are missing or too small: test_devices
 9  ImageNet as Kaggle and Hugging Face give it: test_imagenet_downloads
10  weights of any name, ending and wrapping: weights/test_wrapped, weights/test_init_from,
    weights/test_pytorch
11  signals, and a checkpoint by the clock: system/test_interrupt, test_checkpoint_minutes
12  another learning rate by hand: test_by_hand, runs/test_by_hand
13  containers, pipes, encodings, proxies: test_cpu_quota, test_terminals, test_proxies
14  the exported net elsewhere: test_onnx
15  devices that copy zeros: test_faulty_devices
16  a first run that would fail quietly: test_first_run, net/test_width, doctor/test_dead_layers,
    doctor/test_remedy
17  refused before the preparation: test_before_preparation
18  runs of older versions: test_old_runs, run/test_config, run/test_folder
19  waiting is explained: test_waiting, test_folders, system/test_progress
20  names of classes in every command: test_class_names, run/test_class_matching
21  a sweep's picture, intervals and effects: experiments/test_sweep,
    experiments/test_seed_statistics
22  small: modes of files (weights/test_runs), "1 step" (system/test_progress), figure 4's colours
    (runs/test_analysis), PyTorch of any width (weights/test_pytorch), the report on a phone
    (analysis/report/test_page)

test_mistakes has ordinary mistakes of all kinds.
"""
