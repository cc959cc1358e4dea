"""What the end-to-end tests share: a machine of their own, a server, images, tasks, and the models to check against."""
